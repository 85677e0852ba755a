"""Logs, metrics, traces and health checks, for operators."""

from typing import Any

from flask import Flask

from app.telemetry import logging_config, metrics, request_log, tracing


def init_app(app: Flask, settings: Any) -> None:
    """Register the telemetry. Call it first: its `before_request` must run before all others."""
    logging_config.configure(settings.log_level)
    tracing.init_app(app, settings.otel_exporter_otlp_endpoint)
    request_log.init_app(app, timed=settings.app_env == "development")
    metrics.init_app(app, settings)
