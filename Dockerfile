FROM python:3.13-slim AS builder

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv --without-pip /venv
# requirements-otel.lock adds OpenTelemetry.
ARG LOCK=requirements.lock
COPY ${LOCK} ./
RUN pip --python /venv/bin/python install --require-hashes --no-deps -r ${LOCK}


FROM python:3.13-slim

RUN groupadd --system --gid 10001 app \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin app
COPY --from=builder /venv /venv

WORKDIR /service
COPY app/ app/
COPY migrations/ migrations/
COPY gunicorn.conf.py wsgi.py ./
# Readable whatever the umask of the checkout was, and compiled: the service cannot write to its code.
RUN chmod -R a+rX . && python -m compileall -q app migrations wsgi.py

ENV APP_ENV=production \
    BIND=0.0.0.0:8000 \
    FLASK_SKIP_DOTENV=1 \
    PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Liveness: an unavailable database is no reason to restart the service.
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s --start-interval=1s \
    CMD ["python", "-c", "import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', 8000, timeout=2); \
path = os.environ.get('HEALTHCHECK_PATH', '/health/live'); \
connection.request('GET', os.environ.get('SCRIPT_NAME', '') + path); \
sys.exit(connection.getresponse().status != 200)"]

CMD ["gunicorn"]
