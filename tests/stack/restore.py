"""Test of backup and restore with an empty stack. Called by run.sh after smoke.py, which fills it.

The environment selects the stack: COMPOSE_PROJECT_NAME and COMPOSE_ENV_FILES.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from client import PASSWORD, Stack

ROOT = Path(__file__).parent.parent.parent
# The names of the tables; for each table the number of rows and a checksum of their content.
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
SUM = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} AS t"


def contents(stack: Stack) -> dict[str, str]:
    return {table: stack.psql(SUM.format(table)) for table in stack.psql(TABLES).split()}


def compose(*command: str) -> None:
    done = subprocess.run(["docker", "compose", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def dev(*command: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "dev.py", *command)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    stack = Stack(parser.parse_args().port, os.environ["COMPOSE_PROJECT_NAME"])
    account = {"email": stack.email, "name": "Kept", "password": PASSWORD}
    compose("restart", "redis")  # smoke.py has used up the login limit
    stack.call("POST", "/api/v1/users", account).expect(201)
    log_in(stack)
    path = "/api/v1/users/me"

    # begin jobs
    wait_for_jobs(stack)
    compose("stop", "worker", "beat")  # they would change rows during the comparison
    # end jobs
    before = contents(stack)
    made = dev("backup")
    assert made.returncode == 0, made.stderr
    file = Path(re.search(r"Wrote (\S+)", made.stdout)[1])
    try:
        assert file.stat().st_mode & 0o777 == 0o600
        print(f"backed up {len(before)} tables into {file.stat().st_size} bytes")
        restore_into_an_empty_stack(stack, file, path, before)

        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert dev("restore", str(file)).returncode != 0
        stack.call("GET", path).expect(200)
        print("an incomplete file is rejected, and changes nothing")
    finally:
        file.unlink()


# begin jobs
def wait_for_jobs(stack: Stack) -> None:
    """Return once all jobs have ended; the restored stack would resume the others at once."""
    deadline = time.monotonic() + 300  # a lost one is dispatched again within some minutes
    while stack.psql("SELECT count(*) FROM jobs WHERE finished_at IS NULL") != "0":
        assert time.monotonic() < deadline, "a job does not end"
        time.sleep(0.5)


# end jobs
def log_in(stack: Stack) -> None:
    stack.token = ""
    login = {"email": stack.email, "password": PASSWORD}
    reply = stack.call("POST", "/api/v1/auth/login", login).expect(200)
    stack.token = reply.json()["access_token"]


def restore_into_an_empty_stack(
    stack: Stack, file: Path, path: str, before: dict[str, str]
) -> None:
    compose("down", "--volumes", "--timeout", "40")
    compose("up", "--detach", "--wait", "--wait-timeout", "300")
    assert stack.call("GET", path).status == 401, "the stack is not empty"
    restored = dev("restore", str(file))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    # begin jobs
    compose("stop", "worker", "beat")
    # end jobs
    after = contents(stack)
    different = {table for table in before | after if before.get(table) != after.get(table)}
    assert not different, {table: (before.get(table), after.get(table)) for table in different}
    print("restored into an empty stack: each table has the same rows")

    stack.recovers("/health/ready", within=60)
    stack.call("GET", path).expect(200)  # with the session from before the backup
    log_in(stack)
    assert stack.call("GET", path).expect(200).json()["name"] == "Kept"
    print("the session and the password from before the backup work")


if __name__ == "__main__":
    main()
