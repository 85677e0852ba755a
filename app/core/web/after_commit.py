"""Work for later: after the transaction of a request is committed and its answer is on its way.

Whoever asks does not wait for it, learns nothing from how long it takes, and is not told when it
fails; and it never happens where the transaction did not.
"""

from collections.abc import Callable
from functools import partial

import structlog
from flask import Flask, g

from app.core.web import current
from app.core.web.flask_app import Response

log = structlog.get_logger()

Callback = Callable[[], None]


def run_after_commit(work: Callable[..., None], *arguments: object) -> None:
    """Have `work(*arguments)` done when this request is over, if it succeeds."""
    g.setdefault("afterwards", []).append(partial(work, *arguments))


def schedule_on_close(response: Response) -> None:
    """Let the work of this request begin when the server has sent the response."""
    if works := g.pop("afterwards", None):
        app = current.app()
        response.call_on_close(partial(_run_callbacks, app, works))


def _run_callbacks(app: Flask, works: list[Callback]) -> None:
    for work in works:
        try:
            with app.app_context():
                work()
        except Exception:
            log.exception("afterwards_failed")
