"""`/docs` in a real browser: authorise, create a note, read it back."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, chromium
from tests.live import ROOT, Live, serve

ARTIFACTS = ROOT / "artifacts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium"),
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with serve(f"sqlite:///{folder}/live.db", CACHE_DIR=str(folder)) as service:
        yield service


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as started:
        yield started


def try_out(browser: Browser, operation: str, **parameters: str) -> tuple[str, dict]:
    """Fill in and execute an operation; the status and body that the page shows."""
    block = f"#operations-{operation}"
    browser.click(f"{block} .opblock-summary-control")
    browser.click(f"{block} .try-out__btn")
    for name, value in parameters.items():
        browser.type(f"{block} tr[data-param-name={name}] input", value)
    browser.click(f"{block} .execute")
    answered = f"{block} .live-responses-table .response"
    status = browser.text(f"{answered} .response-col_status")
    return status[:3], json.loads(browser.text(f"{answered} .response-col_description code"))


def test_docs_page_authorises_creates_a_note_and_reads_it_back(
    live: Live, browser: Browser
) -> None:
    token = live.log_in()["Authorization"].removeprefix("Bearer ")
    browser.call("Page.navigate", url=f"{live.url}/docs")

    browser.click(".auth-wrapper .authorize")
    browser.screenshot(ARTIFACTS / "docs-authorize.png")
    browser.type(".auth-container input", token)
    browser.click(".auth-btn-wrapper .authorize")
    browser.click(".auth-btn-wrapper .btn-done")
    status, created = try_out(browser, "notes-create_note")
    assert (status, created["text"]) == ("201", "Buy milk")
    status, read = try_out(browser, "notes-read_note", note_id=created["id"])
    browser.run("document.querySelector('#operations-notes-read_note').scrollIntoView()")
    browser.screenshot(ARTIFACTS / "docs-read-back.png")
    assert (status, read) == ("200", created)

    assert_clean(live, browser)


def test_problem_page_is_readable(live: Live, browser: Browser) -> None:
    browser.call("Page.navigate", url=f"{live.url}/docs")
    browser.click("a[href='/problems']")
    browser.click("a[href='/problems/precondition-failed']")
    browser.wait("location.pathname == '/problems/precondition-failed'")
    assert "If-Match" in browser.text("main")
    browser.screenshot(ARTIFACTS / "problem.png")
    assert_clean(live, browser)


def assert_clean(live: Live, browser: Browser) -> None:
    """Check that the page reported no error and sent requests to the service only."""
    asked = [event["request"]["url"] for event in browser.reported("Network.requestWillBeSent")]
    elsewhere = [u for u in asked if not u.startswith((f"{live.url}/", "data:", "blob:"))]
    assert asked
    assert elsewhere == []
    assert browser.reported("Log.entryAdded") == []
    assert browser.reported("Runtime.exceptionThrown") == []
    said = browser.reported("Runtime.consoleAPICalled")
    assert [s for s in said if s["type"] in ("error", "warning", "assert")] == []
