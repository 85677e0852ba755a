"""Collected only with the shop in the application; tests/test_shop.py runs them so."""

import os

collect_ignore_glob = [] if "WITH_SHOP" in os.environ else ["test_*.py"]
