"""Compare openapi.json with that of the last release; fail on breaking changes.

A change is breaking if the service rejects a request that it accepted, or omits something from a
response that was documented. So schemas of requests may only widen, schemas of responses only
narrow. A new major version of the API may change anything; before the first release there is
nothing to compare with.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.git import content
from tools.release import last_release

JSON = dict[str, Any]
LOWEST, HIGHEST = ("minimum", "minLength", "minItems"), ("maximum", "maxLength", "maxItems")
# Any change of these counts as breaking, except in a oneOf with a discriminator.
OPAQUE = ("oneOf", "anyOf", "allOf", "not")


def breaks(old: JSON, new: JSON) -> Iterator[str]:
    """Iterate over the breaking changes, one line each."""
    old, new = _whole(old, old), _whole(new, new)
    for path, methods in old["paths"].items():
        for method in methods.keys() - {"parameters"}:
            now, at = new["paths"].get(path, {}), f"{method.upper()} {path}"
            if method in now:
                shared = methods.get("parameters", []), now.get("parameters", [])
                yield from _operation(methods[method], now[method], shared, at)
            else:
                yield f"{at}: removed"


def _whole(document: JSON, part: Any) -> Any:
    """Replace every `$ref` by the part that it refers to."""
    if isinstance(part, list):
        return [_whole(document, item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found = document
        for step in part["$ref"].split("/")[1:]:
            found = found[step]
        return _whole(document, found)
    return {key: _whole(document, value) for key, value in part.items()}


def _operation(old: JSON, new: JSON, shared: tuple[list[JSON], ...], at: str) -> Iterator[str]:
    if {} in old["security"] and {} not in new["security"]:
        yield f"{at}: needs credentials now"
    before, after = (
        {f"{p['name']} in {p['in']}": p for p in [*by_path, *operation.get("parameters", [])]}
        for by_path, operation in zip(shared, (old, new), strict=True)
    )
    for name in before.keys() - after.keys():
        yield f"{at}: parameter {name} removed"
    for name, parameter in after.items():
        if parameter.get("required") and not before.get(name, {}).get("required"):
            yield f"{at}: parameter {name} is required now"
        if name in before:
            yield from _schema(before[name]["schema"], parameter["schema"], True, f"{at} {name}")
    was, now = old.get("requestBody", {}), new.get("requestBody", {})
    if now.get("required") and not was.get("required"):
        yield f"{at}: a body is required now"
    yield from _content(was, now, True, f"{at} body")
    for status, response in old["responses"].items():
        if status < "300" and status in new["responses"]:
            now = new["responses"][status]
            for name in response.get("headers", {}).keys() - now.get("headers", {}).keys():
                yield f"{at}: header {name} of {status} removed"
            yield from _content(response, now, False, f"{at} {status}")
        elif status < "300":
            yield f"{at}: no {status} any more"


def _content(old: JSON, new: JSON, request: bool, at: str) -> Iterator[str]:
    for media_type, was in old.get("content", {}).items():
        if now := new.get("content", {}).get(media_type):
            yield from _schema(was.get("schema", {}), now.get("schema", {}), request, at)
        else:
            yield f"{at}: no {media_type} any more"


def _schema(old: JSON, new: JSON, request: bool, at: str) -> Iterator[str]:
    outer, inner = (new, old) if request else (old, new)
    for what, values in (("type", _types), ("values", _values)):
        if (allowed := values(outer)) and not (values(inner) or {None}) <= allowed:
            yield f"{at}: other {what}"
    before, after = _variants(old), _variants(new)
    for name in (before.keys() - after.keys()) if request else (after.keys() - before.keys()):
        yield f"{at}: another set of variants ({name})"
    for name in before.keys() & after.keys():
        yield from _schema(before[name], after[name], request, f"{at} {name}")
    opaque = [key for key in OPAQUE if key != "oneOf" or not (before and after)]
    if any(old.get(key) != new.get(key) for key in opaque):
        yield f"{at}: another combination of schemas"
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, was in before.items():
        if name in after:
            yield from _schema(was, after[name], request, f"{at}.{name}")
        else:
            yield f"{at}.{name}: removed"
    for name in set(outer.get("required", ())) - set(inner.get("required", ())):
        yield f"{at}.{name}: " + ("required now" if request else "no longer always there")
    if "items" in old and "items" in new:
        yield from _schema(old["items"], new["items"], request, f"{at}[]")
    for key in (*LOWEST, *HIGHEST) if request else ():
        was, now = old.get(key), new.get(key)
        if now is not None and (was is None or (now > was if key in LOWEST else now < was)):
            yield f"{at}: {key} is {now} now"
    for key in ("pattern", "format", "additionalProperties") if request else ():
        if key in new and new[key] != old.get(key):
            yield f"{at}: another {key}"


def _variants(schema: JSON) -> dict[str, JSON]:
    """The schemas of a `oneOf`, by the value of their discriminator."""
    if "discriminator" not in schema:
        return {}
    member = schema["discriminator"]["propertyName"]
    return {one["properties"][member]["enum"][0]: one for one in schema["oneOf"]}


def _types(schema: JSON) -> set[Any]:
    found = schema.get("type", [])
    return {found} if isinstance(found, str) else set(found)


def _values(schema: JSON) -> set[Any]:
    return set(schema.get("enum", [schema["const"]] if "const" in schema else []))


def main() -> str | None:
    """Compare the file in this directory; return the exit status or message."""
    release = last_release()
    document = content(release[1], "openapi.json") if release else ""
    if not release or not document:
        print(f"nothing to compare: no release {'with openapi.json' if release else 'yet'}")
        return None
    old, new = json.loads(document), json.loads(Path("openapi.json").read_text())
    was, now = old["info"]["version"], new["info"]["version"]
    found = sorted(breaks(old, new))
    print(f"{len(found)} breaking changes since {release[0]} (API {was}, now {now})")
    if not found or was.partition(".")[0] != now.partition(".")[0]:
        return None
    return "\n".join([*found, "Undo these, or raise the major version of the API"])


if __name__ == "__main__":
    sys.exit(main())
