"""Differences between two OpenRPC documents, judged by the policy of docs/api.md (Versions of the contract)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ("Change", "changes", "complaints", "essence")

Kind = Literal["breaking", "addition"]
#: What a schema says for people, and what only fills in an absent parameter.
_SILENT = frozenset({"title", "description", "default", "examples", "deprecated"})
_ROLES = ("none", "viewer", "operator", "admin")
#: Limits of values: a larger number narrows those of the first group, and widens those of the second.
_LOW = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGH = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FORMS = ("pattern", "format", "multipleOf")


@dataclass(frozen=True, slots=True)
class Change:
    """Difference at `place`, such as `result of get_status: uptime`."""

    kind: Kind
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def essence(document: Any) -> dict[str, Any]:
    """Return what of a document is compared, each schema written out, without words for people."""
    components = document["components"]["schemas"]
    methods, events = {}, {}
    for each in document["methods"]:
        methods[each["name"]] = {
            "params": _members(each["params"], components),
            "result": _written_out(each["result"]["schema"], components),
            "role": each["x-role"],
            "by_position": each["paramStructure"] == "either",
            "codes": sorted(error["code"] for error in each["errors"]),
            "deprecated": each.get("deprecated", False),
        }
    for each in document["x-notifications"]:
        events[each["name"]] = {"topics": each["x-topics"], "params": _members(each["params"], components)}
    return {"version": document["info"]["x-contract-version"], "methods": methods, "events": events}


def _members(descriptors: Any, components: Any) -> Any:
    """Return descriptors of params as the schema of one object."""
    return {
        "type": "object",
        "properties": {each["name"]: _written_out(each["schema"], components) for each in descriptors},
        "required": [each["name"] for each in descriptors if each["required"]],
    }


def _written_out(value: Any, components: Any, inside: tuple[str, ...] = ()) -> Any:
    if isinstance(value, list):
        return [_written_out(each, components, inside) for each in value]
    if not isinstance(value, dict):
        return value
    name = str(value.get("$ref", "")).rpartition("/")[2]
    if name:
        return value if name in inside else _written_out(components[name], components, (*inside, name))
    found = {key: each for key, each in value.items() if key not in _SILENT}
    if "properties" in value:
        found["properties"] = {
            key: _written_out(each, components, inside) for key, each in value["properties"].items()
        }
    return {
        key: each if key == "properties" else _written_out(each, components, inside)
        for key, each in found.items()
    }


def changes(old: Any, new: Any) -> Iterator[Change]:
    """Yield the differences between two essences."""
    for kind, compare in (("methods", _method), ("events", _event)):
        word = kind.removesuffix("s")
        for name in old[kind].keys() - new[kind].keys():
            yield Change("breaking", f"{word} {name}", "removed")
        for name in new[kind].keys() - old[kind].keys():
            yield Change("addition", f"{word} {name}", "new")
        for name in sorted(old[kind].keys() & new[kind].keys()):
            yield from compare(name, old[kind][name], new[kind][name])


def _method(name: str, old: Any, new: Any) -> Iterator[Change]:
    rise = _ROLES.index(new["role"]) - _ROLES.index(old["role"])
    if rise:
        yield Change("breaking" if rise > 0 else "addition", f"method {name}", f"now for {new['role']}")
    before, after = list(old["params"]["properties"]), list(new["params"]["properties"])
    if old["by_position"] and not (new["by_position"] and after[: len(before)] == before):
        yield Change("breaking", f"params of {name}", "an array of params no longer means the same")
    if old["codes"] != new["codes"] or old["deprecated"] != new["deprecated"]:
        yield Change("addition", f"method {name}", "other error codes, or deprecated")
    yield from _schema(f"params of {name}", old["params"], new["params"], sent=False)
    yield from _schema(f"result of {name}", old["result"], new["result"], sent=True)


def _event(name: str, old: Any, new: Any) -> Iterator[Change]:
    for topic in set(old["topics"]) ^ set(new["topics"]):
        is_gone = topic in old["topics"]
        yield Change("breaking" if is_gone else "addition", f"topic {topic}", "removed" if is_gone else "new")
    yield from _schema(f"event {name}", old["params"], new["params"], sent=True)


def _schema(place: str, old: Any, new: Any, *, sent: bool) -> Iterator[Change]:
    """Yield the differences between two schemas; `sent` tells that the agent sends such values."""
    if old == new:
        return
    old_kinds, new_kinds = _kinds(old), _kinds(new)
    for kind in old_kinds.keys() - new_kinds.keys():
        if not (kind == "integer" and "number" in new_kinds):
            yield Change("addition" if sent else "breaking", place, f"no longer {kind}")
    for kind in new_kinds.keys() - old_kinds.keys():
        is_word = kind.startswith("the word") and any(each.startswith("the word") for each in old_kinds)
        if not (kind == "integer" and "number" in old_kinds):
            yield Change("breaking" if sent and not is_word else "addition", place, f"now also {kind}")
    for kind in old_kinds.keys() & new_kinds.keys():
        yield from _limits(place, old_kinds[kind], new_kinds[kind], sent=sent)
        yield from _object(place, old_kinds[kind], new_kinds[kind], sent=sent)
        for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
            one, other = old_kinds[kind].get(key), new_kinds[kind].get(key)
            if isinstance(one, dict) and isinstance(other, dict):
                yield from _schema(place + mark, one, other, sent=sent)


def _kinds(schema: Any) -> Mapping[str, Any]:
    """Return the alternatives of a schema by what they admit: a type, or a word of an enumeration."""
    if "anyOf" in schema:
        return {kind: each for one in schema["anyOf"] for kind, each in _kinds(one).items()}
    if "enum" in schema or "const" in schema:
        return {f"the word {value!r}": {} for value in schema.get("enum", [schema.get("const")])}
    return {str(schema.get("type", "anything")): schema}


def _limits(place: str, old: Any, new: Any, *, sent: bool) -> Iterator[Change]:
    for keys, sign in ((_LOW, 1), (_HIGH, -1)):
        for key in keys:
            one, other = old.get(key), new.get(key)
            if one == other:
                continue
            is_narrower = one is None or (other is not None and (other - one) * sign > 0)
            yield Change("breaking" if is_narrower is not sent else "addition", place, f"{key} is {other}")
    for key in _FORMS:
        if old.get(key) != new.get(key):
            yield Change("breaking", place, f"{key} is {new.get(key)}")


def _object(place: str, old: Any, new: Any, *, sent: bool) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() - after.keys():
        yield Change("breaking", f"{place}.{name}", "removed")
    for name in after.keys() - before.keys():
        is_demand = not sent and name in needs
        yield Change("breaking" if is_demand else "addition", f"{place}.{name}", "new")
    for name in before.keys() & after.keys():
        if (name in needed) != (name in needs):
            # Clients rely on members that are always sent, and on params that they may leave out.
            text = "now required" if name in needs else "now optional"
            yield Change("breaking" if (name in needs) is not sent else "addition", f"{place}.{name}", text)
        yield from _schema(f"{place}.{name}", before[name], after[name], sent=sent)


def complaints(old: Any, new: Any, *, is_released: bool) -> list[str]:
    """Return why the version of `new` does not suit its differences from `old`; empty if it does.

    Before the first release (`is_released` is false) additions need no new version.
    """
    was, now = ([int(each) for each in one["version"].split(".")] for one in (old, new))
    found = list(changes(old, new))
    said = []
    if now < was:
        said.append(f"the version fell from {old['version']} to {new['version']}")
    if now[0] <= was[0]:
        said += [f"needs a new MAJOR: {each}" for each in found if each.kind == "breaking"]
    if is_released and now <= was:
        said += [f"needs a new MINOR: {each}" for each in found if each.kind == "addition"]
    return said
