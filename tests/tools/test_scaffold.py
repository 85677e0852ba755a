"""`flask new resource` and `flask remove feature`, in a copy of the tree."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from app.features import FEATURES
from tests.tools.checkout import changes, copy_tree, run
from tools.scaffold import feature_list, marked_lines
from tools.scaffold.create import write_fields
from tools.scaffold.feature_list import ROOT
from tools.scaffold.field_types import FIELD_TYPES
from tools.scaffold.remove import REQUIRED, check_removable
from tools.scaffold.resource import parse_resource

NAMES = ("diaries", "price_lists", "diary_entries")
EVERY_TYPE = [f"{name}_member:{name}" for name in FIELD_TYPES]
EVERY_TYPE += [f"{name}_or_null:{name}:optional" for name in FIELD_TYPES]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy_tree(tmp_path)
    return tmp_path


def flask(tree: Path, *arguments: str, status: int = 0) -> str:
    return run(tree, "flask", *arguments, status=status, DATABASE_URL=f"sqlite:///{tree}/new.db")


def git(tree: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_new_resources_pass_checks_contract_tests_and_fuzzing_and_are_removed_completely(
    tree: Path,
) -> None:
    flask(tree, "new", "resource", "diaries")
    flask(tree, "new", "resource", "price_lists", *EVERY_TYPE, "--shared")
    flask(tree, "new", "resource", "diary_entries", "on:date", "--parent", "diaries")
    flask(tree, "db", "upgrade")
    assert "No new upgrade operations" in flask(tree, "db", "check")
    run(tree, "tools.check", "ruff-check", "ruff-format", "mypy", "imports", "public-interfaces")
    selected = "diaries or diary or price_list or price-lists or diary_entries or diary-entries"
    tests = ["tests/contract", *(f"tests/{name}" for name in NAMES)]
    summary = run(tree, "pytest", "-q", "-n2", "-k", selected, *tests).splitlines()[-1]
    assert int(summary.split()[0]) > 500, summary
    only = ["--include-path-regex", "/(diaries|price-lists|diary-entries)"]
    run(tree, "tests.fuzz.run", "--examples", "20", "--seed", "1", *only)

    refused = flask(tree, "remove", "feature", "diaries", status=1)
    assert "is needed by diary_entries; remove diary_entries first; nothing was" in refused
    for name in reversed(NAMES):
        flask(tree, "remove", "feature", name)
    assert [name for name in changes(tree) if not name.startswith(("new.db", "instance"))] == []


def test_new_resource_has_the_index_of_its_search_and_members_named_like_the_example() -> None:
    resource = parse_resource("diaries", ("title:string", "note:text", "on:date"))
    example = ROOT / "examples" / "notes"
    assert 'search_index("ix_diaries_search", "title", "note")' in write_fields(
        example / "models.py", resource
    )
    assert "matches(words, Diary.title, Diary.note)" in write_fields(
        example / "schemas.py", resource
    )
    migration = write_fields(example / "migrations" / "0001_notes.py", resource)
    assert "coalesce(title, '') || ' ' || coalesce(note, '')" in migration
    assert 'sa.Column("note", sa.Text(), nullable=False)' in migration


def test_optional_member_of_a_new_resource_may_be_null() -> None:
    resource = parse_resource("diaries", ("on:date:optional",))
    example = ROOT / "examples" / "notes"
    assert "on: Mapped[date | None] = mapped_column(Date)" in write_fields(
        example / "models.py", resource
    )
    assert "on = Date(allow_none=True, metadata" in write_fields(example / "schemas.py", resource)
    migration = write_fields(example / "migrations" / "0001_notes.py", resource)
    assert 'sa.Column("on", sa.Date(), nullable=True)' in migration


@pytest.mark.parametrize("example", ["notes", "places", "remarks"])
@pytest.mark.parametrize("type_", ["string", "date"])
def test_list_of_a_new_resource_has_a_query_class_if_it_has_a_filter(
    example: str, type_: str
) -> None:
    resource = parse_resource("diaries", (f"member:{type_}",))._replace(example=example)
    folder = ROOT / "examples" / example
    schemas = write_fields(folder / "schemas.py", resource)
    routes = write_fields(folder / "routes.py", resource)
    sort = 'Sort({"created_at": Diary.created_at}, default="-created_at")'
    if type_ == "string":
        assert f"    sort = {sort}\n" in schemas
        assert "DiarySchema, DiaryQuery" in routes
        assert "from app.diaries.schemas import DiaryQuery, DiarySchema\n" in routes
    else:
        assert f"DiarySchema, {sort}" in routes
        assert "DiaryQuery" not in schemas + routes


# begin docs mfa
@pytest.mark.slow
def test_removal_of_a_feature_with_tables_names_the_command_that_drops_them(tree: Path) -> None:
    last = flask(tree, "remove", "feature", "mfa").splitlines()[-1]
    assert last.endswith("with the code that still has app/mfa/: flask db downgrade mfa@base")
    assert "downgrade" not in flask(tree, "remove", "feature", "docs")


# end docs mfa
NAMED = [each.__name__.partition(".")[2] for each in FEATURES]
NEEDED_BY = {"jobs": "products"}  # which is removed first
OPTIONAL = [name for name in reversed(NAMED) if name not in REQUIRED]
OPTIONAL.sort(key=lambda name: name in NEEDED_BY)
# These name the samples after their removal: history, examples of the tool, and other meanings.
NAMES_KEPT = {
    "CHANGELOG.md",
    "docs/decisions.md",
    "tests/tools/releases.py",
    "tests/tools/test_scaffold.py",
    "app/core/background/commands.py",
    "tests/rehearsal/alterations.py",
    "tests/test_asvs.py",
    "tests/tools/test_new_service.py",
    "tests/tools/test_upgrade.py",
    "tools/new_service.py",
    "tools/scaffold/marked_lines.py",
}
SUBSET = (
    *("test_structure.py", "test_asvs.py", "test_decisions.py", "test_documents.py"),
    *("test_features.py", "test_openapi.py", "test_actions.py", "test_commands.py"),
    *("test_problems.py", "test_scaffold.py", "test_in_memory.py", "test_notices.py"),
)


@pytest.mark.slow
@pytest.mark.parametrize("feature", OPTIONAL)
def test_tree_without_a_feature_names_nothing_of_it(tree: Path, feature: str) -> None:
    if (needing := NEEDED_BY.get(feature)) in OPTIONAL:
        flask(tree, "remove", "feature", str(needing))
    assert "imports app." not in flask(tree, "remove", "feature", feature)
    git(tree, "add", "-A")
    run(tree, "tools.check", "ruff-check", "ruff-format", "imports")
    if feature in ("products", "tasks", "jobs"):
        names = rf"app[./]{feature}|\b{feature}:(own|read|write)|\(feature {feature}\)"
        # Workflows and Kubernetes have jobs, and so has the core.
        names += "|BROKER_URL" if feature == "jobs" else rf"|/{feature}\b|[\"']{feature}\b"
        assert set(git(tree, "grep", "-lE", names).split()) - NAMES_KEPT == set()


@pytest.mark.slow
def test_tree_without_optional_features_passes_checks_and_tests(tree: Path) -> None:
    for feature in OPTIONAL:
        flask(tree, "remove", "feature", feature)
    git(tree, "add", "-A")
    checks = ("ruff-check", "ruff-format", "imports", "migrations", "mypy", "public-interfaces")
    run(tree, "tools.check", *checks)
    selected = f"({' or '.join(SUBSET)}) and not postgresql"
    summary = run(tree, "pytest", "-q", "-n0", "-m", "not slow", "-k", selected, "tests")
    assert int(summary.splitlines()[-1].split()[0]) > 100, summary


# begin products tasks
# In upstream; tests of a clone's own may use what it has.
USES = {
    "audit": r"audit-events|AuditEvent\.|AuditEvent,",
    "jobs": r"\bJob[.,]|\bcreate_job\(|\bcelery_worker\(|articles/imports.*status=202",
    "docs": r'"/docs\b|"/openapi\.json|"/problems"',
    "mfa": r"auth/mfa/",
    "oidc": r"auth/oidc/",
}


@pytest.mark.parametrize("feature", [name for name in OPTIONAL if name in USES])
def test_tests_use_features_that_can_be_removed_in_marked_lines_only(feature: str) -> None:
    kept = "tools", "test_features.py"
    found = [
        path.as_posix()
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path.relative_to(ROOT).parts[1] not in (feature, NEEDED_BY.get(feature), *kept)
        and re.search(USES[feature], marked_lines.without(feature, path, path.read_text()))
    ]
    assert found == []


# end products tasks
def test_every_mark_has_its_counterpart_and_names_features() -> None:
    found = marked_lines.all_marked().values()
    names = {name for marks in found for mark in marks for name in mark.names}
    assert [name for name in names if not feature_list.contains(name)] == []


def test_commands_without_ruff_name_it_and_change_nothing(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = tmp_path_factory.mktemp("modules")
    (broken / "ruff.py").write_text("raise SystemExit(1)")
    for command in (("new", "resource", "diaries"), ("remove", "feature", "mfa")):
        refused = run(tree, "flask", *command, status=1, PYTHONPATH=str(broken))
        assert refused.startswith("Error: ruff is not installed"), refused
    assert [name for name in changes(tree) if not name.startswith("instance")] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["invoice"], "NAME is a plural in lower case that ends in s"),
        (["Invoices"], "NAME is a plural in lower case that ends in s"),
        (["../invoices"], "NAME is a plural in lower case that ends in s"),
        (["users"], "app/users/ exists already and is not overwritten"),
        (["notes"], "examples/notes/ exists already and is not overwritten"),
        (["invoices", "id:string"], "the name id is taken"),
        (["invoices", "a:text", "a:date"], "the name a is taken"),
        (["invoices", "total:float"], "the type is one of string, text"),
        (["invoices", "class:text"], "a field is name:type"),
        (["invoices", "total:money:null"], "the type is one of string, text"),
        (["invoices", "total:optional"], "the type is one of string, text"),
        (["invoices", "total"], "the type is one of string, text"),
        (["invoices", "--parent=users"], "User has no OwnedMixin"),
        (["invoices", "--parent=nothing"], "app/nothing/models.py does not exist"),
    ],
)
def test_wrong_arguments_of_new_resource_are_refused(arguments: list[str], reason: str) -> None:
    name, *fields = arguments
    parent = fields.pop().removeprefix("--parent=") if "--parent" in arguments[-1] else None
    with pytest.raises(click.ClickException, match=re.escape(reason)):
        parse_resource(name, tuple(fields), parent=parent)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        # begin products
        ("jobs", "jobs is needed by products; remove products first; nothing was removed"),
        # end products
        ("auth", "auth cannot be removed: it is needed by .*; see docs/architecture.md#a-feature"),
        ("users", "users cannot be removed: it is needed by app, .*auth"),
        ("nothing", "nothing is not in app/features.py"),
        ("../auth", "is not in app/features.py"),
    ],
)
def test_feature_that_others_need_is_not_removed(name: str, reason: str) -> None:
    with pytest.raises(click.ClickException, match=reason):
        check_removable(name)
