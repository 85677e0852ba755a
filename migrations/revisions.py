"""The branch, the number and the folder of a migration that `flask db revision` writes.

docs/decisions.md#54-migrations-by-feature
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import ops
from alembic.script.write_hooks import register
from alembic.util import CommandError, to_tuple
from flask import current_app

from app.extensions import MIGRATIONS, Base
from migrations.autogenerate import has_expression, indexes_of_models

REMOVALS = (ops.DropTableOp, ops.DropColumnOp, ops.AlterColumnOp)
log = logging.getLogger(__name__)


def place_revision(context: MigrationContext, _: Any, directives: list[Any]) -> None:
    """Complete a new migration; options of the command line have precedence.

    Raises:
        CommandError: there is nothing to write, or the feature is unclear.
    """
    script = directives[0]
    named = script.branch_label or str(script.head).endswith("@head")
    autogenerate = context.config and getattr(context.config.cmd_opts, "autogenerate", False)
    if not named and (script.head != "head" or not autogenerate):
        return  # `flask db check`, or another place
    owners = table_owners()
    features = sorted({owners.get(op.table_name, "") for op in script.upgrade_ops.ops} - {""})
    if autogenerate and script.upgrade_ops.is_empty():
        raise CommandError("No changes: the database has the models of all features")
    if not named and len(features) != 1:
        changed = ", ".join(features) or "tables without a model"
        raise CommandError(f"Changes of {changed}: name one feature with --head NAME@head")
    name = script.branch_label or (script.head.removesuffix("@head") if named else features[0])
    # A named feature without changes receives those of others: the columns that a clone adds.
    chosen = {name} if name in features or not named else {name, *features}
    for container in (script.upgrade_ops, script.downgrade_ops):
        own = [op for op in container.ops if owners.get(op.table_name, name) in chosen]
        container.ops = list(_separate_indexes(own))
    if context.dialect.name == "sqlite":
        _warn_of_lost_types(script)
    _restrict_indexes_of_postgresql(script)
    _number(context, script, name)
    tables = {op.table_name for op in script.upgrade_ops.ops} | set(_referred(script))
    others = {owners[table] for table in tables if owners.get(table, name) != name}
    if others and not script.depends_on:
        script.depends_on = heads_of(context.script, sorted(others))


@register("format_revision")
def format_revision(path: str, _: dict[str, Any]) -> None:
    """Format a new migration; without ruff, say which command does."""
    from tools.format import format_files, is_installed  # the image has no tools/

    if is_installed():
        format_files([Path(path)])
    else:
        log.warning("ruff is not installed; to format it: make format ARGS=%s", path)


def heads_of(scripts: Any, features: list[str]) -> list[str]:
    """The last revisions of the features, without those on which another one of them depends."""
    heads = [scripts.get_revision(f"{name}@head").revision for name in features]
    # Alembic cannot resolve a dependency that is named directly and through another branch.
    implied = {
        needed
        for head in heads
        for revision in scripts.iterate_revisions(head, "base")
        for needed in to_tuple(revision.dependencies, ())
    }
    return [head for head in heads if head not in implied]


def _warn_of_lost_types(script: Any) -> None:
    for change in script.upgrade_ops.ops:
        for op in change.ops if isinstance(change, ops.ModifyTableOps) else [change]:
            if isinstance(op, REMOVALS):
                what = ".".join(filter(None, (op.table_name, getattr(op, "column_name", None))))
                # SQLite has no precision and no time zones to read.
                log.warning("%s: check its types in downgrade(), or run this on PostgreSQL", what)


def _restrict_indexes_of_postgresql(script: Any) -> None:
    """Mark indexes that the downgrade creates as PostgreSQL describes them, in its own syntax."""
    for op in script.downgrade_ops.ops:
        if isinstance(op, ops.CreateIndexOp) and any("::" in str(key) for key in op.columns):
            log.warning("%s: downgrade() creates this index on PostgreSQL only", op.index_name)
            op.info["dialect"] = "postgresql"
            for drop in script.upgrade_ops.ops:
                if isinstance(drop, ops.DropIndexOp) and drop.index_name == op.index_name:
                    drop.if_exists = True


def _folders() -> dict[str, Path]:
    folders: tuple[Path, ...] = current_app.extensions["migration_folders"]
    return {"core" if at.parent == MIGRATIONS else at.parent.name: at for at in folders}


def table_owners() -> dict[str, str]:
    """The feature of each table: the package of its model."""
    packages = {folder.parent: name for name, folder in _folders().items()}
    owners = {}
    # A second class on the table of another feature does not own it.
    for mapper in sorted(
        Base.registry.mappers, key=lambda each: "__tablename__" in vars(each.class_)
    ):
        file = Path(getattr(sys.modules[mapper.class_.__module__], "__file__", None) or "")
        found = [packages[parent] for parent in file.parents if parent in packages]
        for table in mapper.tables:
            owners[table.description] = found[0] if found else "core"
    return owners


def _number(context: MigrationContext, script: Any, name: str) -> None:
    """Set the folder, the parent, the identifier and the name of the file."""
    folders, scripts = _folders(), context.script
    if not script.version_path:
        if name not in folders:
            raise CommandError(f"{name} is no feature; there are: {', '.join(sorted(folders))}")
        script.version_path = str(folders[name])
    folder = Path(script.version_path).resolve()
    names = [
        each.revision
        for each in scripts.walk_revisions()  # type: ignore[union-attr]
        if Path(each.path).resolve().parent == folder
    ]
    if names:
        script.head = f"{name}@head"
    else:
        script.head, script.branch_label = "base", name
    if re.fullmatch("[0-9a-f]{12}", script.rev_id):  # chosen by Alembic
        numbers = [int(found[1]) for each in names if (found := re.search(r"_(\d+)$", each))]
        number = f"{max(numbers, default=0) + 1:04}"
        script.rev_id = f"{name}_{number}"
        scripts.file_template = f"{number}_%(slug)s"  # type: ignore[union-attr]
    script.message = script.message or name.replace("_", " ").capitalize()


def _referred(script: Any) -> Iterator[str]:
    """The tables to which new foreign keys refer."""
    for change in script.upgrade_ops.ops:
        if isinstance(change, ops.CreateTableOp):
            for key in change.to_table().foreign_keys:
                yield key.target_fullname.rpartition(".")[0]
        for op in change.ops if isinstance(change, ops.ModifyTableOps) else ():
            if isinstance(op, ops.CreateForeignKeyOp):
                yield op.referent_table


def _separate_indexes(changes: Iterable[Any]) -> Iterator[ops.MigrateOperation]:
    """Indexes are created and dropped outside of `batch_alter_table`."""
    changes = list(changes)
    dropped = {op.table_name for op in changes if isinstance(op, ops.DropTableOp)}
    for op in changes:
        if not isinstance(op, ops.ModifyTableOps):
            yield op
        elif op.table_name not in dropped:
            yield from _separate(op, indexes_of_models(op.table_name))


def _separate(changes: ops.ModifyTableOps, indexes: dict[str, Any]) -> Iterator[Any]:
    drops: list[Any] = [op for op in changes.ops if isinstance(op, ops.DropIndexOp)]
    creates: list[Any] = [op for op in changes.ops if isinstance(op, ops.CreateIndexOp)]
    others = [op for op in changes.ops if not isinstance(op, ops.DropIndexOp | ops.CreateIndexOp)]
    for drop in drops:
        index = indexes.get(str(drop.index_name))
        if index is not None and index.info.get("dialect"):
            drop.if_exists = True
    yield from drops
    if others:
        yield ops.ModifyTableOps(changes.table_name, others)
    yield from creates
    if all(isinstance(op, ops.AddColumnOp) and not op.column.server_default for op in others):
        return
    # SQLite copies the table then, without indexes over expressions.
    named = {str(op.index_name) for op in (*drops, *creates)}
    for name, index in sorted(indexes.items()):
        if name not in named and has_expression(index) and not index.info.get("dialect"):
            lost = ops.CreateIndexOp.from_index(index)
            lost.if_not_exists = True
            yield lost
