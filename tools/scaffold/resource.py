"""What `flask new resource` is asked for, checked."""

import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from tools.scaffold.feature_list import ROOT
from tools.scaffold.field_types import FIELD_TYPES, TEXTS, FieldType

RESERVED = {"id", "version", "created_at", "updated_at", "owner_id", "metadata", "registry", "q"}
RESERVED |= {"sort", "limit", "cursor", "count"}
OPTIONAL = ":optional"


class Resource(NamedTuple):
    """What `flask new resource` is asked for."""

    name: str  # plural, of the package, the table and the URL
    fields: Mapping[str, FieldType]
    texts: tuple[str, ...]  # the fields in which `q` searches
    example: str  # "notes", "places" or, with a parent, "remarks"
    parent: str | None

    def rename(self, text: str) -> str:
        """The text of the example with the names of this resource."""
        names = _names(self.example, self.name)
        if self.parent:  # that of `remarks` is `notes`
            names |= _names("notes", self.parent)
        return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)


def singular_of(plural: str) -> str:
    """The name of one row: `boxes` is "box", `diaries` is "diary", `notes` is "note"."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("xes", "x")):
        if plural.endswith(ending):
            return plural.removesuffix(ending) + replacement
    return plural.removesuffix("s")


def _names(old: str, new: str) -> dict[str, str]:
    """What to write in place of each form of the name `old`, longer forms first."""
    old_one, one = singular_of(old), singular_of(new)
    article = "an" if one[0] in "aeiou" else "a"
    url = new.replace("_", "-")
    return {
        f" a {old_one}": f" {article} {one}",
        f"A {old_one}": f"{article.capitalize()} {one}",
        f"examples.{old}": f"app.{new}",
        f"/api/v1/{old}": f"/api/v1/{url}",
        f"/{old}": f"/{url}",
        old.capitalize(): new.replace("_", " ").capitalize(),
        old: new,
        old_one.capitalize(): class_name_of(new),
        old_one: one,
    }


def class_name_of(plural: str) -> str:
    """The name of the model: `price_lists` is "PriceList"."""
    return "".join(word.capitalize() for word in singular_of(plural).split("_"))


def parse_resource(
    name: str, fields: tuple[str, ...], *, shared: bool = False, parent: str | None = None
) -> Resource:
    """The resource that the arguments describe.

    Raises:
        ClickException: lists all that is wrong with them.
    """
    errors = [*_name_errors(name), *_parent_errors(parent, shared=shared)]
    types: dict[str, str] = {}
    optional = {each.partition(":")[0] for each in fields if each.endswith(OPTIONAL)}
    for each in fields or ("text:text",):
        member, _, type_ = each.removesuffix(OPTIONAL).partition(":")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", member) or keyword.iskeyword(member):
            errors.append(f"{each}: a field is name:type, such as title:string")
        elif member in RESERVED or member in types:
            errors.append(f"{each}: the name {member} is taken")
        elif type_ not in FIELD_TYPES:
            errors.append(f"{each}: the type is one of {', '.join(FIELD_TYPES)}")
        types[member] = type_
    if errors:
        raise click.ClickException("\n".join(errors))
    texts = tuple(member for member, type_ in types.items() if type_ in TEXTS)
    chosen = {
        member: FIELD_TYPES[type_]._replace(optional=member in optional)
        for member, type_ in types.items()
    }
    example = "remarks" if parent else "places" if shared else "notes"
    return Resource(name, chosen, texts, example, parent)


def _parent_errors(parent: str | None, *, shared: bool) -> Iterator[str]:
    if parent is None:
        return
    model = ROOT / "app" / parent / "models.py"
    if shared:
        yield "--parent: its rows belong to the owner of the parent, so --shared does not fit"
    elif not re.fullmatch(r"[a-z][a-z0-9_]*", parent) or not model.is_file():
        yield f"--parent {parent}: app/{parent}/models.py does not exist"
    elif f"class {class_name_of(parent)}(OwnedMixin" not in model.read_text():
        yield f"--parent {parent}: {class_name_of(parent)} has no OwnedMixin, whose owner decides"


def _name_errors(name: str) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*s", name) or len(name) > 40:
        yield f"{name}: NAME is a plural in lower case that ends in s, such as invoices"
        return
    taken = [path for path in (Path("app") / name, Path("tests") / name) if (ROOT / path).exists()]
    taken += [Path(f"examples/{name}")] if (ROOT / "examples" / name).exists() else []
    for path in taken:
        yield f"{name}: {path}/ exists already and is not overwritten"
