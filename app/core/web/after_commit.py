"""Callbacks that run after a request's transaction is committed and its response is sent.

Their failure is only logged. After a rollback they do not run.
"""

from collections.abc import Callable
from functools import partial

import structlog
from flask import Flask, current_app

from app.core.web.flask_app import Response
from app.core.web.request_state import request_state

log = structlog.get_logger()

Callback = Callable[[], None]


def run_after_commit(function: Callable[..., None], *arguments: object) -> None:
    """Call `function(*arguments)` after this request, if it succeeds."""
    request_state().callbacks.append(partial(function, *arguments))


def schedule_on_close(response: Response) -> None:
    """Run the callbacks of this request when the server has sent the response and closes it."""
    state = request_state()
    if state.callbacks:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        callbacks, state.callbacks = state.callbacks, []
        # The client does not wait for them, so their duration does not reveal, for example, whether
        # an account exists: docs/decisions.md#32-mail-after-the-response
        response.call_on_close(partial(_run_callbacks, app, callbacks))


def _run_callbacks(app: Flask, callbacks: list[Callback]) -> None:
    for callback in callbacks:
        try:
            with app.app_context():
                callback()
        except Exception:
            log.exception("after_commit_callback_failed")
