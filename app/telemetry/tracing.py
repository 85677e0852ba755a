"""Trace context: each request belongs to a trace, which its jobs continue.

The trace is that of the field `traceparent` (W3C Trace Context, section 3.2), or a new one. Its id
is in every log line. Spans are recorded if OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra "otel"
is installed; functions import OpenTelemetry, because it is optional. docs/decisions.md#58-traces
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from flask import Flask

# Version ff and ids of zeros are invalid; a later version may append fields after a dash.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace; its id has 32 hexadecimal digits."""

    id: str
    sampled: bool = False


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
_tracer: Any = None  # of OpenTelemetry, if spans are recorded


def parse(traceparent: str) -> Trace | None:
    """Return the trace of a `traceparent` field; None if it is absent or invalid."""
    match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if not match or (match[1] == "00" and match[4]):
        return None
    return Trace(match[2], sampled=bool(int(match[3], 16) & 1))


def begin(traceparent: str, fallback: UUID) -> Trace:
    """Continue the client's trace, or start one with the UUID `fallback` as id."""
    trace = _recorded_trace() or parse(traceparent) or Trace(fallback.hex)
    _current.set(trace)
    return trace


def traceparent() -> str:
    """Return the `traceparent` for a request or job that belongs to the current trace."""
    if _tracer:
        context = _current_span().get_span_context()
        if context.is_valid:
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    trace = _current.get() or Trace(secrets.token_hex(16))
    return f"00-{trace.id}-{secrets.token_hex(8)}-{trace.sampled:02x}"


@contextmanager
def continue_trace(name: str, traceparent: str) -> Iterator[None]:
    """Run the block as part of the trace that `traceparent()` returned earlier; for jobs."""
    span: Any = nullcontext()
    if _tracer:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        span = _tracer.start_as_current_span(name, context=context)
    with span:
        trace = _recorded_trace() or parse(traceparent) or Trace(secrets.token_hex(16))
        token = _current.set(trace)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=trace.id):
                yield
        finally:
            _current.reset(token)


def init_app(app: Flask, endpoint: str) -> None:
    """Record a span for each request and each query, and export them to the OTLP endpoint.

    Without an endpoint nothing is recorded. OpenTelemetry reads its other options from its own
    environment variables, such as OTEL_SERVICE_NAME and OTEL_TRACES_SAMPLER.
    """
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("tracing_disabled", reason='the extra "otel" is not installed')
        return
    global _tracer
    name = os.environ.get("OTEL_SERVICE_NAME") or app.config["TOKEN_ISSUER"]
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    FlaskInstrumentor().instrument_app(  # type: ignore[no-untyped-call]
        app,
        tracer_provider=provider,
        excluded_urls="/health/live$,/health/ready$",
        response_hook=_remove_query,  # the request hook runs before the attributes are set
        enable_commenter=False,
    )
    # The instrumentation of SQLAlchemy does not support 2.1; the driver's sees the same queries.
    PsycopgInstrumentor().instrument(tracer_provider=provider)
    _tracer = provider.get_tracer(__name__)


def _remove_query(span: Any, _status: str, _headers: Any) -> None:
    """Remove the query string from the span: search terms are personal data."""
    for name in ("http.target", "http.url", "url.full"):
        if name in span.attributes:
            span.set_attribute(name, span.attributes[name].partition("?")[0])
    if "url.query" in span.attributes:
        span.set_attribute("url.query", "")


def _current_span() -> Any:
    from opentelemetry import trace

    return trace.get_current_span()


def _recorded_trace() -> Trace | None:
    """Return the trace of the span that is being recorded."""
    if not _tracer:
        return None
    context = _current_span().get_span_context()
    return (
        Trace(f"{context.trace_id:032x}", context.trace_flags.sampled) if context.is_valid else None
    )
