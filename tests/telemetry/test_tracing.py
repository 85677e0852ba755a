"""Traces: the trace of a caller is continued (W3C Trace Context), spans are exported."""

import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.telemetry import tracing
from tests.api import PASSWORD, Api
from tests.conftest import Lines, MakeApp, new_database
from tests.live import serve

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"

# --- the traceparent header ---------------------------------------------------------------------

GOOD = {
    VALID: True,
    f"00-{TRACE}-{PARENT}-00": False,
    f"00-{TRACE}-{PARENT}-03": True,  # "random" as well
    f"00-{TRACE}-{PARENT}-fe": False,  # unknown flags
    f" \t{VALID} ": True,
    f"cc-{TRACE}-{PARENT}-01": True,  # a later version
    f"cc-{TRACE}-{PARENT}-01-what-the-future-holds": True,
}
BAD = [
    "",
    "nonsense",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT.upper()}-01",
    f"0-{TRACE}-{PARENT}-01",
    f"000-{TRACE}-{PARENT}-01",
    f"00-{TRACE[1:]}-{PARENT}-01",
    f"00-{TRACE}0-{PARENT}-01",
    f"00-{TRACE}-{PARENT[1:]}-01",
    f"00-{TRACE}-{PARENT}-1",
    f"00-{TRACE}-{PARENT}-0x",
    f"00-{TRACE}-{PARENT}-01-extra",
    f"00-{TRACE}-{PARENT}-01-",
    f"00-{TRACE}-{PARENT}",
    f"00_{TRACE}_{PARENT}_01",
    f"cc-{TRACE}-{PARENT}-01.what",
    f"cc-{TRACE}-{PARENT}-011",
    f"{VALID},{VALID}",  # a repeated header
    f"{VALID}\n",
    f".{VALID}",
]


@pytest.mark.parametrize(("sent", "sampled"), GOOD.items())
def test_valid_traceparent_is_parsed(sent: str, sampled: bool) -> None:
    assert tracing.parse(sent) == tracing.Trace(TRACE, sampled)


@pytest.mark.parametrize("sent", BAD)
def test_invalid_traceparent_is_ignored(sent: str) -> None:
    assert tracing.parse(sent) is None


def test_log_lines_of_a_request_name_the_callers_trace(logged: Api, lines: Lines) -> None:
    logged.get("odd/cause", headers={"traceparent": VALID}, status=500)
    assert [line["trace_id"] for line in lines()] == [TRACE, TRACE]


@pytest.mark.parametrize("sent", BAD[:6])
def test_request_without_valid_traceparent_begins_a_trace(
    logged: Api, lines: Lines, sent: str
) -> None:
    for _ in range(2):
        logged.get("articles", headers={"traceparent": sent, "tracestate": "a=1"}, status=200)
    begun = {line["trace_id"] for line in lines()}
    assert len(begun) == 2
    assert TRACE not in begun
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in begun)


# --- jobs ---------------------------------------------------------------------------------------


def test_continued_trace_keeps_the_trace_id_of_the_request(
    logged: Api,
    lines: Lines,
) -> None:
    with logged.app.test_request_context(headers={"traceparent": VALID}):
        logged.app.preprocess_request()
        sent = tracing.traceparent()
    version, trace, parent, flags = sent.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch("[0-9a-f]{16}", parent)
    assert parent != PARENT
    with tracing.continue_trace("job", sent):
        structlog.get_logger().info("worked")
        assert tracing.traceparent().split("-")[1] == TRACE
    structlog.contextvars.clear_contextvars()
    structlog.get_logger().info("over")
    worked, over = lines()
    assert worked["trace_id"] == TRACE
    assert "trace_id" not in over


def test_job_continues_the_trace_of_its_request(logged: Api, lines: Lines) -> None:
    account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    logged.post("users", account, headers={"traceparent": VALID}, status=201)
    logged.app.extensions["jobs"].drain()
    (finished,) = (line for line in lines() if line["event"] == "job_finished")
    assert finished["trace_id"] == TRACE


def test_work_without_trace_begins_one() -> None:
    with tracing.continue_trace("job", "nonsense"):
        assert tracing.parse(tracing.traceparent())
    assert tracing.parse(tracing.traceparent())


# --- spans --------------------------------------------------------------------------------------


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """Yield the address of an OTLP collector and the list of the spans it receives."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", spans
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_requests_and_queries_are_exported_as_spans_of_the_callers_trace(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    with new_database(request, kind, tmp_path) as url, collector() as (endpoint, spans):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "CACHE_DIR": str(tmp_path)}
        with serve(url, **settings) as live:
            fields = {"traceparent": VALID, "X-Request-ID": "find-me-123"}
            assert live.call("GET", "articles?q=confidential", headers=fields).status == 200
            assert live.call("GET", "articles", headers={"traceparent": BAD[2]}).status == 200
            with urlopen(f"{live.url}/health/ready") as probe:
                assert probe.status == 200
            log = [json.loads(line) for line in live.log_lines()]
    # The workers have ended and sent all spans.
    servers = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    (first,) = (span for span in servers if span.parent_span_id.hex() == PARENT)
    assert first.trace_id.hex() == TRACE
    assert first.name == "GET /api/v1/articles"
    (line,) = (line for line in log if line.get("request_id") == "find-me-123")
    assert line["trace_id"] == TRACE
    (second,) = (span for span in servers if not span.parent_span_id)  # and none for the probe
    assert second.trace_id.hex() in {line.get("trace_id") for line in log}
    assert "confidential" not in str(spans)
    queries = [span for span in spans if span.parent_span_id == first.span_id]
    if kind == "postgresql":
        statements = [
            a.value.string_value for q in queries for a in q.attributes if a.key == "db.statement"
        ]
        assert any("FROM articles" in statement for statement in statements)
        assert {span.trace_id.hex() for span in queries} == {TRACE}
    else:
        assert queries == []  # only psycopg is instrumented


def test_tracing_is_disabled_without_the_otel_extra(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, missing, None)
    make_app(otel_exporter_otlp_endpoint="http://127.0.0.1:4318", log_level="WARNING")
    assert "tracing_disabled" in capsys.readouterr().out
