"""The examples pass the generated tests, and their own, with nothing added to them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(file.parent.name for file in (ROOT / "examples").glob("*/__init__.py"))
VARIABLES = {"postgresql": "TEST_DATABASE_URL", "redis": "TEST_REDIS_URL"}


def number_of_passed(request: pytest.FixtureRequest, *tests: str) -> int:
    """Run tests with all examples; all must pass."""
    servers = {VARIABLES[name]: url for name, url in request.config.servers.items()}
    environ = {**os.environ, **servers, "WITH_ALL_EXAMPLES": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-n", str(os.cpu_count()), *tests]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    return int(passed[1])


@pytest.mark.slow
def test_examples_pass_their_own_tests(request: pytest.FixtureRequest) -> None:
    assert number_of_passed(request, *(f"tests/{name}" for name in EXAMPLES)) >= 2 * len(EXAMPLES)


# begin products tasks
SHOP = ROOT / "examples" / "shop"
RESOURCES = ("shop", "customers", "orders", "reviews", "rating", "tags", "attachments")


# Copies of the other examples pass the generated tests in tests/tools/test_scaffold.py.
@pytest.mark.slow
def test_shop_passes_the_generated_tests(request: pytest.FixtureRequest) -> None:
    assert number_of_passed(request, "tests/contract", "-k", " or ".join(RESOURCES)) >= 1000


def test_shop_has_at_most_450_lines_without_its_migrations() -> None:
    files = SHOP.glob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) <= 450


def test_shop_uses_no_private_name_of_the_service() -> None:
    texts = [file.read_text() for file in SHOP.glob("*.py")]
    assert [t for t in texts if re.search(r"^from app\S* import .*\b_\w|\w\._[a-z]", t, re.M)] == []


# end products tasks
