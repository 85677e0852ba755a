"""A headless Chromium, controlled over the pipe of its DevTools protocol without a package."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests import services

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--window-size=1280,1600"),
]
NAVIGATED = "navigated or closed"  # in an error message of DevTools
# Chromium reads commands from descriptor 3 and writes responses to 4; this script opens them.
REPLACE = """import fcntl, os, sys
pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for fd, pipe in zip((3, 4), pipes):
    os.dup2(pipe, fd)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class NavigatedError(Exception):
    """The page navigated before it returned a result."""


class Browser:
    """One page of a browser and the events that it reported."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._rest, self._last, self._session = b"", 0, {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one command; events that arrive before it are stored."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._last:
                if NAVIGATED in message.get("error", {}).get("message", ""):
                    raise NavigatedError
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            assert read, "the browser ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression, as soon as it is true, also after a navigation."""
        deadline = time.monotonic() + services.SECONDS
        while time.monotonic() < deadline:
            with suppress(NavigatedError):
                if value := self.run(script):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def click(self, selector: str) -> None:
        """Click the element of a selector, as soon as it exists."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"!!{found}")
        with suppress(NavigatedError):  # by the click
            self.run(f"{found}.scrollIntoView(), {found}.click()")

    def text(self, selector: str) -> str:
        """The text of the element of a selector, as soon as it has some."""
        return self.wait(f"document.querySelector({json.dumps(selector)})?.textContent")

    def type(self, selector: str, text: str) -> None:
        """Type into a field and move the focus away."""
        self.click(selector)
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        self.run("document.activeElement.blur()")

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        picture = self.call("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(picture["data"]))

    def reported(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all events of one kind so far."""
        self.wait("1")  # receives the pending events
        return [event["params"] for event in self.events if event["method"] == method]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Yield a browser with a fresh profile."""
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()
    ends = (commands_in, answers_out)
    options = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    launch = [sys.executable, "-c", REPLACE, *map(str, ends), "chromium", *options]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(launch, pass_fds=ends, **quiet) as process:
        for end in ends:
            os.close(end)
        try:
            browser = Browser(commands, answers)
            yield browser
            browser.call("Browser.close")
        finally:
            process.kill()
            os.close(commands)
            os.close(answers)
