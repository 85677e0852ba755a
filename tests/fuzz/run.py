"""Schemathesis against the running service: gunicorn with a temporary PostgreSQL and Redis.

    python -m tests.fuzz.run --examples 300 --seed 1

It tests the API twice, each time with a service of its own: as alice, with bob as a peer who must
not see her objects and an admin for what she may not do; and as the admin alone.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests import services
from tests.api import PASSWORD
from tests.live import ROOT, Live, serve

FOLDER = Path(__file__).parent
TOOL = [
    Path(sys.executable).with_name("schemathesis"),
    "--config-file",
    FOLDER / "schemathesis.toml",
]
RUNS = {"a user, with a peer and an admin": [], "an admin": ["--auth-wfc-user", "admin"]}
UNREACHABLE_LIMIT = "1000000 per minute"
SETTINGS = {
    "AUTH_COOKIES": "true",  # enables all routes
    "ACCESS_TOKEN_MINUTES": "1440",  # no token expires during the run
    "RATE_LIMIT": UNREACHABLE_LIMIT,  # a 429 would hide the other responses
    "LOGIN_RATE_LIMIT": UNREACHABLE_LIMIT,
    "REGISTER_RATE_LIMIT": UNREACHABLE_LIMIT,
    "MAIL_RATE_LIMIT": UNREACHABLE_LIMIT,
    "BULK_RATE_LIMIT": UNREACHABLE_LIMIT,
}


def main() -> int:
    """Run Schemathesis as each of `RUNS`; return 0 if there were no failures and no warnings."""
    parser = argparse.ArgumentParser(description="Further arguments go to `schemathesis run`.")
    parser.add_argument("--examples", default="300", help="cases per operation and phase (300)")
    parser.add_argument("--seed", default=str(int.from_bytes(os.urandom(4))), help="(random)")
    options, more = parser.parse_known_args()
    limits = ["--max-examples", options.examples, "--seed", options.seed, *more]
    print(f"Schemathesis runs as {' and as '.join(RUNS)}, which takes minutes.", flush=True)
    with ThreadPoolExecutor() as pool:
        results = pool.map(run, ([*identity, *limits] for identity in RUNS.values()))
        statuses = []
        for who, done in zip(RUNS, results, strict=True):
            print(f"\n== Schemathesis as {who}\n{done.stdout}", flush=True)
            statuses.append(done.returncode)
    return max(statuses)


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis against a new service; return its output and exit status."""
    with (
        services.postgres() as database,
        services.redis() as redis,
        serve(database, wsgi="wsgi", REDIS_URL=redis, **SETTINGS) as live,
    ):
        command = [*TOOL, "run", ROOT / "openapi.json", "--url", live.url]
        command += ["--checks", "all", "--mode", "all"]
        command += ["--phases", "examples,coverage,fuzzing,stateful", *arguments]
        hooks = {"FUZZ_NEEDED_USERS": prepare(live, database), "FUZZ_LOG": str(live.log)}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | hooks,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def prepare(live: Live, database_url: str) -> str:
    """Register the users of `users.json`, and the one that the examples of the document name.

    Returns:
        The ids and addresses of the accounts that must remain usable.
    """
    document = json.loads((FOLDER / "users.json").read_text())
    password = document["authTemplate"]["loginEndpointAuth"]["payloadUserPwd"]["password"]
    needed = []
    for name in [user["name"] for user in document["auth"]]:
        needed += register(live, name, password)
    register(live, "ada1", PASSWORD)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET role = 'admin' WHERE email = 'admin@example.com'")
    return " ".join(needed)


def register(live: Live, name: str, password: str) -> tuple[str, str]:
    """Create an account; return its id and address."""
    new = {"email": f"{name}@example.com", "name": name, "password": password}
    return live.call("POST", "users", new).json["id"], new["email"]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except services.Unavailable as reason:
        sys.exit(str(reason))
