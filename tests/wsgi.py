"""The entry points of wsgi.py, with the features of tests."""

import sys

from app import config, create_app
from tests.features import WITH_FEATURES_OF_TESTS

try:
    app = create_app(features=WITH_FEATURES_OF_TESTS)
except config.StartError as error:
    sys.exit(str(error))
celery = app.extensions.get("celery")
