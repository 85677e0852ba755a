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


class Resource(NamedTuple):
    """What `flask new resource` is asked for."""

    name: str  # plural, of the package, the table and the URL
    fields: Mapping[str, FieldType]
    texts: tuple[str, ...]  # the fields in which `q` searches
    example: str  # "notes" or "places"

    @property
    def singular(self) -> str:
        """The name of one row: `boxes` is "box", `diaries` is "diary", `notes` is "note"."""
        for ending, replacement in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("s", "")):
            if self.name.endswith(ending):
                return self.name.removesuffix(ending) + replacement
        raise AssertionError(self.name)

    def rename(self, text: str) -> str:
        """The text of the example with the names of this resource."""
        plural, singular = self.example, self.example.removesuffix("s")
        class_name = "".join(word.capitalize() for word in self.singular.split("_"))
        article = "an" if self.singular[0] in "aeiou" else "a"
        names = {
            f" a {singular}": f" {article} {self.singular}",
            f"A {singular}": f"{article.capitalize()} {self.singular}",
            f"examples.{plural}": f"app.{self.name}",
            f"/api/v1/{plural}": f"/api/v1/{self.name.replace('_', '-')}",
            plural.capitalize(): self.name.replace("_", " ").capitalize(),
            plural: self.name,
            singular.capitalize(): class_name,
            singular: self.singular,
        }
        return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)


def parse_resource(name: str, fields: tuple[str, ...], *, shared: bool) -> Resource:
    """The resource that the arguments describe.

    Raises:
        ClickException: lists all that is wrong with them.
    """
    errors = list(_name_errors(name))
    types: dict[str, str] = {}
    for each in fields or ("text:text",):
        member, _, type_ = each.partition(":")
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
    chosen = {member: FIELD_TYPES[type_] for member, type_ in types.items()}
    return Resource(name, chosen, texts, "places" if shared else "notes")


def _name_errors(name: str) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*s", name) or len(name) > 40:
        yield f"{name}: NAME is a plural in lower case that ends in s, such as invoices"
        return
    taken = [path for path in (Path("app") / name, Path("tests") / name) if (ROOT / path).exists()]
    taken += [Path(f"examples/{name}")] if (ROOT / "examples" / name).exists() else []
    for path in taken:
        yield f"{name}: {path}/ exists already and is not overwritten"
