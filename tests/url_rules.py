"""URL rules whose code is compiled once for all applications of a test session."""

from collections.abc import Callable
from typing import Any

import werkzeug.routing

_builders: dict[tuple[str, bool], Callable[..., tuple[str, str]]] = {}


class Rule(werkzeug.routing.Rule):
    """A rule that takes the function that builds its URLs from an equal rule."""

    # A private method: docs/decisions.md#93-url-rules-of-tests
    def _compile_builder(self, append_unknown: bool = True) -> Any:
        key = (self.rule, append_unknown)
        if key not in _builders:
            _builders[key] = super()._compile_builder(append_unknown)
        return _builders[key]
