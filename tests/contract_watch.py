"""Comparison of all that WebSocket clients of the tests receive with the document of a whole agent."""

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.error_table import ErrorTable

if TYPE_CHECKING:
    from uuid import UUID

#: Outcome of a call: method, role of the caller, and code of the error or 0.
Outcome = tuple[str, str, int]

_DOCUMENT = "contract:"


class Contract:
    """The document, as far as it judges results, errors and notifications."""

    def __init__(self, document: Any) -> None:
        self.methods = {each["name"]: each for each in document["methods"]}
        self._errors = ErrorTable()
        parts = {f"result {name}": each["result"]["schema"] for name, each in self.methods.items()}
        parts |= {f"event {each['name']}": _object(each) for each in document["x-notifications"]}
        resource = Resource.from_contents({**document, "x-parts": parts}, default_specification=DRAFT202012)
        registry = Registry().with_resource(_DOCUMENT, resource)
        self._validators = {
            name: Draft202012Validator(
                {"$ref": f"{_DOCUMENT}#/x-parts/{name.replace(' ', '%20')}"}, registry=registry
            )
            for name in parts
        }

    def faults(self, name: str, value: Any) -> list[str]:
        """Return how the value differs from the schema; nothing for a method or event that the document does not know."""
        kind, _, about = name.partition(" ")
        if kind == "error":
            return self._error_faults(about, value)
        validator = self._validators.get(name)
        found = validator.iter_errors(value) if validator is not None else ()
        return [f"{name}: {each.json_path}: {each.message[:200]}" for each in found]

    def _error_faults(self, method: str, error: Any) -> list[str]:
        if method not in self.methods:
            return []
        found = []
        # The agent of a test may lack a method that is off by its configuration, or the plugin of one.
        absent = (-32601, -32030) if "x-plugin" in self.methods[method] else (-32601,)
        # -32600 answers what is no call, although it names a method and has an id.
        if error["code"] not in (*self.codes(method), *absent, -32600):
            found.append(f"{method} answered {error['code']}, which it does not declare")
        data = error.get("data", {})
        wrong = [each for each in ("reason", "details", "suggestion") if not isinstance(data.get(each), str)]
        found += [f"{method}: its error has no {each}" for each in wrong]
        return [*found, *(f"{method}: {each}" for each in self._errors.faults(error))]

    def codes(self, method: str) -> list[int]:
        return [each["code"] for each in self.methods[method]["errors"]]

    def table(self, outcomes: set[Outcome]) -> Iterator[str]:
        """Yield a line for each method: what of it the tests have seen."""
        for name, method in sorted(self.methods.items()):
            seen = {code for called, _, code in outcomes if called == name}
            roles = sorted({role for called, role, code in outcomes if called == name and code == 0})
            happy = "happy" if 0 in seen else "NOT happy"
            codes = " ".join(str(code) if code in seen else f"({code})" for code in self.codes(name))
            yield f"{name:30} {method['x-role']:9} {happy:9} {codes} | {', '.join(roles)}"


def _object(event: Any) -> Any:
    """Return the schema of a notification's params; anything, if a plugin decides about them."""
    if not event["params"]:
        return {}
    return {
        "type": "object",
        "properties": {each["name"]: each["schema"] for each in event["params"]},
        "required": [each["name"] for each in event["params"] if each["required"]],
        "additionalProperties": False,
    }


class _Talk:
    """One connection: the calls that wait for an answer, by id, and the role."""

    def __init__(self) -> None:
        self.waiting: dict[str | int, str | None] = {}
        self.role = "none"


class ContractWatch(logging.Filter):
    """Filter of the log of WebSocket clients: keeps what was received, by method or event, until `take` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: set[Outcome] = set()
        self._talks: dict[UUID, _Talk] = {}
        self._received: dict[tuple[str, str], None] = {}

    def take(self) -> list[tuple[str, Any]]:
        """Return each different text received since the last time, with what it answers; forget the connections."""
        self._talks.clear()
        taken, self._received = self._received, {}
        return [(name, json.loads(text)) for name, text in taken]

    def filter(self, record: logging.LogRecord) -> bool:
        connection = getattr(record, "websocket", None)
        if record.msg in ("< %s", "> %s") and connection is not None and isinstance(record.args, tuple):
            data = bytes(getattr(record.args[0], "data", b""))
            talk = self._talks.setdefault(connection.id, _Talk())
            for message in _messages(data):
                (self._sent if record.msg == "> %s" else self._got)(talk, message)
        return True

    def _sent(self, talk: _Talk, message: dict[str, Any]) -> None:
        key, method = message.get("id"), message.get("method")
        if isinstance(key, (str, int)) and isinstance(method, str):
            # An id that is used twice at a time tells nothing.
            talk.waiting[key] = None if key in talk.waiting else method

    def _got(self, talk: _Talk, message: dict[str, Any]) -> None:
        method, key = message.get("method"), message.get("id")
        if isinstance(method, str):
            self._keep(f"event {method}", message.get("params"))
            return
        called = talk.waiting.pop(key, None) if isinstance(key, (str, int)) else None
        error = message.get("error")
        if called is None:
            return
        if isinstance(error, dict) and isinstance(error.get("code"), int):
            self._keep(f"error {called}", error)
            self.outcomes.add((called, talk.role, error["code"]))
        elif "result" in message:
            self._keep(f"result {called}", message["result"])
            self.outcomes.add((called, talk.role, 0))
            if called == "authenticate" and isinstance(message["result"], dict):
                talk.role = str(message["result"].get("role"))

    def _keep(self, name: str, value: Any) -> None:
        self._received[name, json.dumps(value)] = None


def _messages(data: bytes) -> list[dict[str, Any]]:
    """Return the objects of a frame; none if it is not JSON, as in tests of what an agent refuses."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return []
    entries = value if isinstance(value, list) else [value]
    return [each for each in entries if isinstance(each, dict)]
