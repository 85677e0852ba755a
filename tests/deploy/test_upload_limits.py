"""The limits of nginx for files are those of the routes, and docs/files.md says how to add one."""

import re
from pathlib import Path

import pytest

from app import create_app
from tests import services
from tests.core.security.test_authorization import SETTINGS
from tests.deploy.test_gateway_errors import send
from tests.live import Live
from tests.nginx import SHIPPED, in_front_of

ROOT = Path(__file__).parent.parent.parent
DOCUMENTED = dict(
    re.findall(r"```nginx\n# (\S+)\n(.*?)```", (ROOT / "docs" / "files.md").read_text(), re.DOTALL)
)
MIB = 2**20
PHOTOS = "/api/v1/recipes/019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07/photos"


def limits_of_nginx() -> list[tuple[str, int]]:
    """The largest body of each location that is named by a pattern."""
    text = (SHIPPED / "nginx.conf").read_text()
    found = re.findall(r"location ~ (\S+) \{[^}]*client_max_body_size (\d+)m;", text)
    return [(pattern, int(size) * MIB) for pattern, size in found]


def limits_in_messages() -> list[tuple[str, int]]:
    """The limit that the 413 of nginx names, for each pattern of addresses."""
    text = (SHIPPED / "problems.conf").read_text()
    (limits,) = re.findall(r"\$body_limit \{(.*?)\}", text, re.DOTALL)
    found = re.findall(r'"~(\S+)" "(\d+) MiB";', limits)
    return [(pattern, int(size) * MIB) for pattern, size in found]


def test_each_file_of_a_route_is_accepted_by_nginx_and_its_413_names_the_limit() -> None:
    shipped = create_app(SETTINGS)
    too_large, other_limit = [], []
    for rule in shipped.url_map.iter_rules():
        operation = getattr(shipped.view_functions[rule.endpoint], "operation", None)
        if not (operation and operation.upload):
            continue
        size = operation.upload.max_bytes
        path = re.sub(r"<[^>]*>", "0", rule.rule)
        accepted = [limit for pattern, limit in limits_of_nginx() if re.search(pattern, path)]
        if int(shipped.config.get(size, size)) > max([MIB, *accepted]):
            too_large.append(rule.rule)
        named = [limit for pattern, limit in limits_in_messages() if re.search(pattern, path)]
        if accepted[:1] != named[:1]:
            other_limit.append(rule.rule)
    assert too_large == [], "docs/files.md says what to add to deploy/nginx/nginx.conf"
    assert other_limit == [], "docs/files.md says what to add to deploy/nginx/problems.conf"


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [(PHOTOS, 20 * MIB, 503), (f"{PHOTOS}?file_name=a", 20 * MIB + 1, 413), ("/x", 2 * MIB, 413)],
)
def test_documented_location_accepts_larger_files(
    tmp_path: Path, path: str, size: int, status: int
) -> None:
    stopped = Live(f"http://127.0.0.1:{services.free_port()}", None, None)  # type: ignore[arg-type]
    location, limit = (
        DOCUMENTED["deploy/nginx/nginx.conf"],
        DOCUMENTED["deploy/nginx/problems.conf"],
    )
    changes = {
        "location / {": f"{location}\nlocation / {{",
        'default "1 MiB";': f'{limit} default "1 MiB";',
    }
    with in_front_of(stopped, tmp_path, **changes) as nginx:
        response = send(nginx, "POST", path, f"Content-Length: {size}", b"")
    assert response.status == status
    if status == 413:
        expected = "20 MiB" if path.startswith(PHOTOS) else "1 MiB"
        assert expected in response.problem["detail"]  # type: ignore[attr-defined]
