"""Our service without rate limits, revocation check and request log: what the peers do not have.

The rest stays: validation, access rules, problems, ETags, security headers, the audit trail.
"""

from app import create_app
from app.extensions import limiter
from app.kit import access, limits
from app.telemetry import logs

limiter.enabled = False
access.is_alive = lambda: None  # no statement, and no answer, depends on a session any more
app = create_app()
app.before_request_funcs[None].remove(logs._begin)
for function in (logs._finish, limits._announce):
    app.after_request_funcs[None].remove(function)
