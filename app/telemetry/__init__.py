"""Logs, metrics, traces and health checks, for operators. No feature depends on their content."""

from typing import Any

from flask import Flask

from app.telemetry import logging_config, metrics, request_log, tracing


def init_app(app: Flask, settings: Any) -> None:
    """Register the telemetry. Call it first, so that it covers every other `before_request`."""
    logging_config.configure(settings.log_level)
    tracing.init_app(app, settings.otel_exporter_otlp_endpoint)
    request_log.init_app(app, timed=settings.app_env == "development")
    metrics.init_app(app, settings)
