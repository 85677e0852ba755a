"""Our service without what the peers lack: rate limits, session check and request log.

Validation, access rules, problem details, ETags, security headers and the audit log remain.
"""

from typing import Any

from app import create_app
from app.core.security import authorization
from app.core.web import rate_limit
from app.extensions import limiter
from app.features import FEATURES
from app.telemetry import request_log
from examples import shop


def _nothing(*_: Any, **__: Any) -> None:
    pass


limiter.enabled = False
rate_limit.init_app = _nothing
request_log.init_app = _nothing
authorization.session_is_valid_clause = _nothing  # statements do not check the session
app = create_app(features=(*FEATURES, shop))
