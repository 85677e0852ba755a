"""The recipe "Add a resource" of the README, executed in a copy of the tree."""

import re
import shlex
from pathlib import Path

import pytest

from tests.tools.checkout import copy_tree, run
from tools.scaffold.feature_list import TOP_LAYER, with_feature

README = Path(__file__).parents[1] / "README.md"
RECIPE = README.read_text().partition("\n## Add a resource\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"```(\w+)\n(.*?)```|Add `(\w+)` to both lists in `app/features.py`", re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the tests migrate both
def test_recipe_adds_a_resource_that_passes_checks_and_contract_tests(
    tmp_path: Path, another_database_url: str
) -> None:
    copy_tree(tmp_path)
    follow(tmp_path, another_database_url)
    check = run(tmp_path, "flask", "db", "check", DATABASE_URL=another_database_url)
    assert "No new upgrade operations" in check
    run(tmp_path, "tools.check", "ruff-check", "ruff-format", "mypy", "imports")
    tests = run(tmp_path, "pytest", "-q", "-n2", "-k", "memo or memos", "tests/contract")
    assert int(tests.splitlines()[-1].split()[0]) > 100, tests


def follow(tree: Path, database_url: str) -> None:
    """Write the files, make the changes and run the commands, in the order of the text."""
    for language, block, feature in BLOCK.findall(RECIPE):
        if feature:
            edit_lists(tree, feature)
        elif language == "python":
            path = tree / block.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.partition("\n")[2])
        else:
            assert language == "sh"
            for line in block.splitlines():
                execute(tree, line, database_url)


def edit_lists(tree: Path, feature: str) -> None:
    features, layers = tree / "app" / "features.py", tree / "pyproject.toml"
    features.write_text(with_feature(features.read_text(), feature))
    text = layers.read_text()
    assert TOP_LAYER in text
    layers.write_text(text.replace(TOP_LAYER, f'{TOP_LAYER}    "({feature})",\n'))


def execute(tree: Path, line: str, database_url: str) -> None:
    program, *arguments = shlex.split(line)
    if program == "make":  # which would make a virtual environment in the copy
        assert arguments == ["openapi"]
        (tree / "openapi.json").write_text(run(tree, "flask", "openapi", APP_ENV="testing"))
        return
    assert program == "flask"
    run(tree, program, *arguments, DATABASE_URL=database_url)
