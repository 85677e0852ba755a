"""Our service without rate limits, revocation check and request log: what the peers do not have.

The rest stays: validation, access rules, problems, ETags, security headers, the audit trail.
"""

from typing import Any

from app import create_app
from app.extensions import limiter
from app.kit import access, limits
from app.telemetry import requests


def _nothing(*_: Any, **__: Any) -> None:
    pass


limiter.enabled = False
limits.init_app = _nothing
requests.init_app = _nothing
access.is_alive = _nothing  # no statement, and no answer, depends on a session any more
app = create_app()
