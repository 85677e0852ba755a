"""Our service without rate limits, revocation check and request log: what the peers do not have.

The rest stays: validation, access rules, problems, ETags, security headers, the audit trail.
"""

from typing import Any

from app import create_app
from app.core.security import authorization
from app.core.web import rate_limit
from app.extensions import limiter
from app.telemetry import request_log


def _nothing(*_: Any, **__: Any) -> None:
    pass


limiter.enabled = False
rate_limit.init_app = _nothing
request_log.init_app = _nothing
authorization.session_is_valid_clause = _nothing  # no statement depends on a session any more
app = create_app()
