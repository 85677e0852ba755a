"""Work for later: after the transaction of a request is committed and its answer is on its way.

Whoever asks does not wait for it, learns nothing from how long it takes, and is not told when it
fails; and it never happens where the transaction did not.
"""

from collections.abc import Callable
from functools import partial

import structlog
from flask import Flask, current_app

from app.core.web.flask_app import Response
from app.core.web.request_state import request_state

log = structlog.get_logger()

Callback = Callable[[], None]


def run_after_commit(work: Callable[..., None], *arguments: object) -> None:
    """Have `work(*arguments)` done when this request is over, if it succeeds."""
    request_state().callbacks.append(partial(work, *arguments))


def schedule_on_close(response: Response) -> None:
    """Let the work of this request begin when the server has sent the response."""
    state = request_state()
    if state.callbacks:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        callbacks, state.callbacks = state.callbacks, []
        response.call_on_close(partial(_run_callbacks, app, callbacks))


def _run_callbacks(app: Flask, works: list[Callback]) -> None:
    for work in works:
        try:
            with app.app_context():
                work()
        except Exception:
            log.exception("after_commit_callback_failed")
