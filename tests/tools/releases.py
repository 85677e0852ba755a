"""A small upstream with releases, and the clone of it, as Git repositories."""

import os
import subprocess
from pathlib import Path

# With an identity for Git, which a fresh machine has not.
ENVIRON = {
    **os.environ,
    **{f"GIT_{role}_NAME": "Test" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "test@example.com" for role in ("AUTHOR", "COMMITTER")},
}

PYPROJECT = """\
[project]
name = "{name}"
version = "{version}"
description = "{name}"
dependencies = [
    "flask",{more}
]

[tool.ruff]
line-length = {line_length}

[[tool.importlinter.contracts]]
layers = [
    "features",
{layers}
    "auth",
]
"""

FEATURES = '''\
"""The features."""

from app import (
{imports}
)

TITLE = "{title}"

FEATURES: tuple[ModuleType, ...] = (
{names}
)
'''

MAKEFILE = """\
run:
	serve {upstream}

# begin products
products:
	import{option}
# end products

test:
	pytest{option}
"""

OF_STACK = '# begin products\n"""The stack."""\n# end products\n'

OF_PRODUCTS = "<!-- begin products -->\nproducts\n<!-- end products -->\n"

CORE = "def first():\n    return 1\n\n\n# between\n\n\ndef second():\n    return 2\n"

MODEL = "class {name}:\n" + "".join(f"    column_{n} = {n}\n" for n in range(20))


def features(*names: str, title: str = "The upstream") -> str:
    imports, lines = ("\n".join(f"    {name}," for name in each) for each in (sorted(names), names))
    return FEATURES.format(imports=imports, names=lines, title=title)


def project(
    name: str,
    version: str,
    more: str = "",
    line_length: int = 100,
    layers: str = '    "(products) | (tasks)",',
) -> str:
    return PYPROJECT.format(
        name=name, version=version, more=more, line_length=line_length, layers=layers
    )


OF_THE_CLONE = '    "(invoices)",\n    "(tasks)",'

WITH_MFA = '    "(mfa) | (products) | (tasks)",'


def git(where: Path, *arguments: str) -> str:
    done = subprocess.check_output(["git", *arguments], cwd=where, text=True, env=ENVIRON)
    return done.strip()


def commit(where: Path, message: str, files: dict[str, str | None]) -> str:
    """Write the files, or delete those that are None, and commit them; return the hash."""
    for name, text in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True) if text is None else path.write_text(text)
    git(where, "add", "-A")
    git(where, "commit", "-qm", message)
    return git(where, "rev-parse", "HEAD")


RELEASE_1_0 = {
    "pyproject.toml": project("the-upstream", "1.0.0"),
    "CHANGELOG.md": "# Changelog\n\n## 1.0.0\n\nThe first release.\n",
    "README.md": "Upstream\n",
    "app/features.py": features("products", "tasks", "docs"),
    "app/core/functions.py": CORE,
    "app/core/moved.py": MODEL.format(name="Moved"),
    "app/products/models.py": MODEL.format(name="Product"),
    "app/tasks/models.py": MODEL.format(name="Task"),
    "app/users/migrations/0001_users.py": 'revision = "users_0001"\n',
    "Makefile": MAKEFILE.format(upstream="The upstream", option=""),
    "docs/http.md": "# The upstream\n\nCall the-upstream.\n",
    "tests/stack/__init__.py": OF_STACK,
    "tests/stack/client.py": "The upstream\n",
    "tests/stack/run.sh": "run\n",
    "openapi.json": '{"version": "1.0.0"}\n',
    "requirements.lock": "flask==1\n",
}

RELEASE_1_1 = {
    "pyproject.toml": project("the-upstream", "1.1.0", '\n    "redis",', 90, WITH_MFA),
    "CHANGELOG.md": "# Changelog\n\n## 1.1.0\n\n### Upgrade steps\n\nSet REDIS_URL.\n\n"
    "## 1.0.0\n\nThe first release.\n",
    "README.md": "Upstream, with Redis\n",
    "app/features.py": features("mfa", "products", "tasks", "docs"),
    "app/core/functions.py": CORE.replace("return 2", "return 22"),
    "app/core/moved.py": None,
    "app/core/here.py": MODEL.format(name="Moved"),
    "app/mfa/models.py": "mfa\n",
    "app/products/models.py": MODEL.format(name="Product") + "    colour = 1\n",
    "app/products/imports.py": "new\n",
    "app/tasks/models.py": MODEL.format(name="Task") + "    colour = 1\n",
    "app/users/migrations/0002_locale.py": 'revision, down_revision = "users_0002", "users_0001"\n',
    "Makefile": MAKEFILE.format(upstream="The upstream", option=" --new"),
    "docs/http.md": "# The upstream 2\n\nCall the-upstream, or not.\n",
    "docs/new.md": f"# News of The upstream\n\n{OF_PRODUCTS}\nMore.\n",
    "docs/products.md": OF_PRODUCTS,
    "tests/stack/__init__.py": '"""The stack."""\n',
    "tests/stack/products.py": OF_STACK,
    "tests/stack/run.sh": "run --products\n",
    "openapi.json": '{"version": "1.1.0"}\n',
    "requirements.lock": "flask==1\nredis==2\n",
}

RELEASE_1_2 = {
    "pyproject.toml": project("the-upstream", "1.2.0", '\n    "redis",', 90, WITH_MFA),
    "CHANGELOG.md": "# Changelog\n\n## 1.2.0\n\nNothing to do.\n\n## 1.1.0\n\nSet REDIS_URL.\n",
}

# The clone has other names, no sample products, invoices in their place and a patched core.
CHANGES = {
    "pyproject.toml": project("shop", "0.3.0", layers=OF_THE_CLONE),
    "README.md": "Shop\n",
    "app/features.py": features("invoices", "tasks", "docs", title="A shop"),
    "app/core/functions.py": CORE.replace("return 1", "return 11"),
    "app/products/models.py": None,
    "app/invoices/models.py": MODEL.format(name="Invoice"),
    "Makefile": "run:\n	serve A shop\n\ntest:\n	pytest\n",
    "docs/http.md": "# A shop\n\nCall shop.\n",
    "tests/stack/__init__.py": None,
    "tests/stack/client.py": None,
    "tests/stack/run.sh": None,
    "openapi.json": '{"version": "0.3.0"}\n',
}
