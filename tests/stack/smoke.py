"""Tests of the running stack through nginx. Called by run.sh.

Uses only the standard library, so it needs no environment of the project.
"""

import argparse
import subprocess
import sys
import time
import traceback
import uuid

import fault_checks
import nginx_checks
from client import NEW_PASSWORD, PASSWORD, Stack

# begin products tasks
import sample_checks  # isort: skip
# end products tasks


def health_and_documentation_are_served(stack: Stack) -> None:
    for path in ("/health/live", "/health/ready"):
        stack.call("GET", path).expect(200)
    # begin docs
    for path in ("/openapi.json", "/docs"):
        stack.call("GET", path).expect(200)
    # end docs


def the_service_has_an_ordinary_role_in_the_database(stack: Stack) -> None:
    connected = (
        "SELECT DISTINCT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication,"
        " rolbypassrls, m.roleid FROM pg_stat_activity JOIN pg_roles r ON rolname = usename"
        " LEFT JOIN pg_auth_members m ON m.member = r.oid WHERE client_addr IS NOT NULL"
    )
    assert stack.psql(connected, role="postgres") == "app|f|f|f|f|f|"
    # With the password of the service, which the container has in its environment.
    script = "import psycopg; psycopg.connect(host='postgres', user='postgres', dbname='app')"
    command = ("docker", "exec", stack.container("web"), "python", "-c", script)
    refused = subprocess.run(command, capture_output=True, text=True)
    assert 'password authentication failed for user "postgres"' in refused.stderr, refused


def a_user_registers_and_logs_in(stack: Stack) -> None:
    account = {"email": stack.email, "name": "Stack Test", "password": PASSWORD}
    stack.call("POST", "/api/v1/users", account).expect(201)
    stack.call("POST", "/api/v1/users", account).problem(409, "conflict")
    log_in(stack, PASSWORD)


def log_in(stack: Stack, password: str) -> None:
    stack.token = ""
    login = {"email": stack.email, "password": password}
    reply = stack.call("POST", "/api/v1/auth/login", login).expect(200)
    assert reply.header("Cache-Control") == "no-store", reply.headers
    stack.token = reply.json()["access_token"]


def an_address_is_confirmed_by_mail(stack: Stack) -> None:
    assert stack.call("GET", "/api/v1/users/me").expect(200).json()["email_verified_at"] is None
    token = {"token": stack.mailed_token("Confirm your e-mail address")}
    stack.call("POST", "/api/v1/auth/email/verify", token).expect(204)
    stack.call("POST", "/api/v1/auth/email/verify", token).problem(401, "unauthorized")
    stack.call("GET", "/api/v1/users/me").problem(401, "unauthorized")
    log_in(stack, PASSWORD)
    assert stack.call("GET", "/api/v1/users/me").expect(200).json()["email_verified_at"]


def a_forgotten_password_is_reset_by_mail(stack: Stack) -> None:
    unknown = {"email": f"{uuid.uuid4().hex}@example.com"}
    for body in (unknown, {"email": stack.email}):
        assert stack.call("POST", "/api/v1/auth/password/forgot", body).expect(202).body == b""
    new = {"token": stack.mailed_token("Set a new password"), "new_password": NEW_PASSWORD}
    stack.call("POST", "/api/v1/auth/password/reset", new).expect(204)
    stack.call("GET", "/api/v1/users/me").problem(401, "unauthorized")
    log_in(stack, NEW_PASSWORD)


def errors_are_problem_details(stack: Stack) -> None:
    stack.call("GET", "/api/v1/users").problem(403, "forbidden")
    invalid = stack.call("POST", "/api/v1/users", {"name": ""}).problem(422, "validation-error")
    assert invalid.json()["errors"], invalid.body
    missing = stack.call("GET", "/api/v1/nothing").problem(404, "not-found")
    stack.call("GET", missing.json()["type"]).expect(200)
    stranger = Stack(stack.port, stack.project)
    refused = stranger.call("GET", "/api/v1/users/me").problem(401, "unauthorized")
    assert refused.header("WWW-Authenticate").startswith("Bearer"), refused.headers


CHECKS = [
    health_and_documentation_are_served,
    the_service_has_an_ordinary_role_in_the_database,
    a_user_registers_and_logs_in,
    an_address_is_confirmed_by_mail,
    a_forgotten_password_is_reset_by_mail,
    # begin products tasks
    sample_checks.tasks_and_products_are_listed,
    sample_checks.a_compressed_etag_is_accepted_in_if_match,
    sample_checks.anonymous_reads_are_cached,
    sample_checks.import_and_export_survive_a_killed_worker,
    # end products tasks
    errors_are_problem_details,
    nginx_checks.trace_is_405_with_the_methods_of_the_path,
    nginx_checks.bodies_over_a_mebibyte_are_413,
    nginx_checks.oversized_heads_are_414_and_431,
    nginx_checks.malformed_requests_are_400,
    nginx_checks.request_smuggling_is_rejected,
    nginx_checks.every_response_has_each_security_header_once,
    nginx_checks.a_request_id_is_kept_if_it_is_well_formed,
    nginx_checks.forwarded_headers_of_a_client_are_ignored,
    nginx_checks.only_nginx_is_published,
    fault_checks.a_reload_under_load_loses_nothing,
    fault_checks.without_the_service_it_is_503_and_recovers,
    fault_checks.without_redis_requests_succeed,
    fault_checks.without_the_database_it_is_503_and_recovers,
    fault_checks.repeated_wrong_passwords_are_429,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True)
    arguments = parser.parse_args()
    stack = Stack(arguments.port, arguments.project)
    failed = 0
    for check in CHECKS:
        started, verdict = time.monotonic(), "ok"
        try:
            check(stack)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed, verdict = failed + 1, "FAILED"
        name = check.__name__.replace("_", " ")
        print(f"{verdict:<6} {time.monotonic() - started:5.1f} s  {name}", flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
