"""The entry points of wsgi.py, with the features of tests."""

import sys

from app import config, create_app
from tests.features import WITH_FEATURES_OF_TESTS

# begin mfa
from app.mfa import totp  # isort: skip
from tests.mfa.authenticator import time_of_test  # isort: skip

# end mfa
# begin oidc
from tests.oidc.client import use_memory_of_test  # isort: skip
# end oidc

try:
    app = create_app(features=WITH_FEATURES_OF_TESTS)
except config.StartError as error:
    sys.exit(str(error))
# begin jobs
celery = app.extensions.get("celery")
# end jobs
# begin mfa
totp.now = time_of_test
# end mfa
# begin oidc
app.before_request(use_memory_of_test)
# end oidc
