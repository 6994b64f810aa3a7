"""Makes the manual pages of the command line and of the configuration, from the parsers and the settings' schema."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from command_tree import Command, Option

__all__ = ("command_page", "configuration_page")

_HERE = Path(__file__).parent
Schema = Mapping[str, Any]


def command_page(root: Command, *, date: str, version: str, exit_codes: str) -> str:
    """Return camera-agent(1).

    Args:
        root: the command line.
        date: day of the page, such as 2026-11-30.
        version: version of the agent.
        exit_codes: lines `NUMBER  MEANING` after a heading.
    """
    lines = [
        _title("CAMERA-AGENT", 1, date, version, "User commands"),
        ".SH NAME",
        r"camera\-agent \- run a camera agent, or talk to one",
        ".SH SYNOPSIS",
        r"\fBcamera\-agent\fR [\fIoptions\fR] \fIcommand\fR ...",
        ".SH DESCRIPTION",
        *_paragraphs(root.description),
        ".SH OPTIONS",
        "These may be before or after the command.",
        *_options(root.flagged),
        ".SH COMMANDS",
    ]
    shared = {each.flags for each in root.flagged}
    for each in root.walk():
        if each.words and each.runs_alone:
            lines += _command(each, shared)
    lines += [".SH EXIT STATUS", *_exit_codes(exit_codes)]
    return _finished(lines, (_HERE / "man/camera-agent.1.end").read_text())


def configuration_page(schema: Schema, *, date: str, version: str) -> str:
    """Return camera-agent-config(5), from the JSON schema of the configuration with all plugins."""
    lines = [
        _title("CAMERA-AGENT-CONFIG", 5, date, version, "File formats"),
        (_HERE / "man/camera-agent-config.5.begin").read_text().rstrip("\n"),
        ".SH SETTINGS",
        *_tables("", schema, schema["$defs"]),
    ]
    return _finished(lines, (_HERE / "man/camera-agent-config.5.end").read_text())


def _finished(lines: Iterable[str], end: str) -> str:
    return "\n".join(lines) + f"\n{end}"


def _title(name: str, section: int, date: str, version: str, manual: str) -> str:
    return f'.TH {name} {section} {date} "camera-agent {version}" "{manual}"'


def _command(command: Command, shared: set[tuple[str, ...]]) -> Iterator[str]:
    """Yield the part about one command; options that all commands share are not repeated."""
    own = [each for each in command.flagged if each.flags not in shared]
    shown = [*own, *command.arguments]
    yield f".SS {_plain(' '.join(command.words))}"
    usage = " ".join(each.synopsis for each in shown if "--help" not in each.flags)
    yield rf"\fBcamera\-agent {_plain(' '.join(command.words))}\fR {_plain(usage)}".rstrip()
    yield ".PP"
    yield from _paragraphs(command.description)
    yield from _options(each for each in shown if "--help" not in each.flags)


def _options(options: Iterable[Option]) -> Iterator[str]:
    for each in options:
        flags = ", ".join(rf"\fB{_plain(flag)}\fR" for flag in each.flags)
        value = rf"\fI{_plain(each.value)}\fR" if each.value else ""
        yield ".TP"
        yield f"{flags} {value}".strip()
        yield _text(each.help) or r"\&"


def _exit_codes(text: str) -> Iterator[str]:
    for number, meaning in re.findall(r"^  (\d+)  (.+)$", text, re.MULTILINE):
        yield ".TP"
        yield rf"\fB{number}\fR"
        yield _text(meaning)


def _tables(name: str, schema: Schema, definitions: Schema) -> Iterator[str]:
    """Yield a table's own keys under a heading, then the tables in it."""
    members = schema.get("properties", {})
    inner = {key: found for key, each in members.items() if (found := _table(each, definitions)) is not None}
    plain = {key: each for key, each in members.items() if key not in inner}
    if plain:
        yield f".SS {_plain(name)}"
        yield from _paragraphs(schema.get("description", ""))
        for key, each in plain.items():
            yield from _key(key, each, required=key in schema.get("required", ()))
    for key, (form, table) in inner.items():
        below = ".".join(part for part in (name.strip("[]"), key) if part)
        yield from _tables(form.format(below), table, definitions)


def _table(member: Schema, definitions: Schema) -> tuple[str, Schema] | None:
    """Return how a member that is a table, a list of tables, or tables by name is written, and the table's schema."""
    for form, schema in (
        ("[{}]", member),
        ("[[{}]]", member.get("items", {})),
        ("[{}.NAME]", member.get("additionalProperties", {})),
    ):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if reference is not None:
            definition: Schema = definitions[reference.rpartition("/")[2]]
            return (form, definition) if "properties" in definition else None
    return None


def _key(name: str, schema: Schema, *, required: bool) -> Iterator[str]:
    default = schema.get("default")
    notes = [_kind(schema)]
    if required:
        notes.append("required")
    elif default is not None:
        notes.append(f"default {_value(default)}")
    yield ".TP"
    yield rf"\fB{_plain(name)}\fR ({_plain(', '.join(notes))})"
    yield _text(schema.get("description", "")) or r"\&"


def _kind(schema: Schema) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(_value(each) for each in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
        return " or ".join(kinds)
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = _bounds(schema)
    names = {"object": "table", "boolean": "true or false"}
    kind = names.get(str(schema.get("type")), str(schema.get("type", "value")))
    return f"{kind} {bounds}" if bounds else kind


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"from {low} to {high}"
    if high is not None:
        return f"up to {high}"
    above = schema.get("exclusiveMinimum")
    return f"of at least {low}" if low is not None else f"above {above}" if above is not None else ""


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        if paragraph:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Return `text` for roff, with what is between backticks in bold."""
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", _plain(text))


def _plain(text: str) -> str:
    """Return `text` so that roff prints it as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text
