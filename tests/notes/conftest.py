"""Collected only with this example in the application; tests/test_examples.py runs them so."""

import os

collect_ignore_glob = [] if "WITH_ALL_EXAMPLES" in os.environ else ["test_*.py"]
