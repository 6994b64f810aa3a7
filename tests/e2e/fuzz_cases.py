"""Messages and frames for the fuzz of the wire: made from the document of `rpc.discover`, right, wrong and broken."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

#: Stands in a message for the id that the test gives it.
ID = "<id>"

Schema = dict[str, Any]
Json = st.SearchStrategy[Any]

_WORDS = st.sampled_from(
    ["", "camera0", "camera1", "camera-1", "../../etc/passwd", "é\ud800", "\x00", "a" * 300, "/dev/video0"]
)
_NUMBERS = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([2**31, 2**53 + 1, -(2**64), 10**40, 0.5, -0.0, 1e308]),
)
_LEAVES = st.one_of(st.none(), st.booleans(), _NUMBERS, _WORDS)
#: Any JSON.
ANYTHING: Json = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=3)),
    max_leaves=6,
)


class Messages:
    """Messages to an agent that this document, the result of `rpc.discover`, describes."""

    def __init__(self, document: Any) -> None:
        self._schemas = document["components"]["schemas"]
        self._methods = document["methods"]

    def message(self) -> st.SearchStrategy[str]:
        """Return the texts of single messages; most are calls, with right or wrong params."""
        call = self._call()
        text = call.map(_text)
        return st.one_of(
            text,
            text,
            text,
            self._of_wrong_form().map(_text),
            st.lists(st.one_of(call, ANYTHING), max_size=6).map(_text),
            _broken(text),
            st.one_of(ANYTHING.map(_text), st.text(max_size=20), st.sampled_from(_ODD)),
        )

    def _call(self) -> Json:
        return st.sampled_from(self._methods).flatmap(self._call_of)

    def _call_of(self, method: Any) -> Json:
        return self._params(method["params"]).map(
            lambda params: {"jsonrpc": "2.0", "id": ID, "method": method["name"], "params": params}
        )

    def _params(self, described: Sequence[Any]) -> Json:
        required = {each["name"]: self._right(each["schema"]) for each in described if each["required"]}
        optional = {each["name"]: self._right(each["schema"]) for each in described if not each["required"]}
        right = st.fixed_dictionaries(required, optional=optional)
        if not described:
            return st.one_of(st.just({}), st.just({}), ANYTHING)
        spoiled = st.tuples(right, st.sampled_from([*required, *optional, "unknown"]), ANYTHING).map(
            lambda drawn: {**drawn[0], drawn[1]: drawn[2]}
        )
        positions = right.map(lambda params: list(params.values()))
        return st.one_of(right, right, spoiled, spoiled, positions, ANYTHING)

    def _of_wrong_form(self) -> Json:
        """Return objects that are nearly requests."""
        names = st.one_of(st.sampled_from([each["name"] for each in self._methods]), _WORDS, ANYTHING)
        members = {
            "jsonrpc": st.one_of(st.just("2.0"), ANYTHING),
            "method": names,
            "params": ANYTHING,
            "id": st.one_of(st.just(ID), ANYTHING),
            "result": ANYTHING,
        }
        return st.fixed_dictionaries({}, optional=members)

    def _right(self, schema: Schema) -> Json:
        """Return values that `schema` allows, as far as it says."""
        if "$ref" in schema:
            return self._right(self._schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return st.one_of([self._right(each) for each in schema["anyOf"]])
        if "enum" in schema or "const" in schema:
            return st.sampled_from(schema.get("enum", [schema.get("const")]))
        kinds: dict[str, Callable[[Schema], Json]] = {
            "integer": _numbers,
            "number": _numbers,
            "boolean": lambda _: st.booleans(),
            "null": lambda _: st.none(),
            "array": self._array,
            "object": self._object,
            "string": _strings,
        }
        make = kinds.get(schema.get("type", ""))
        return ANYTHING if make is None else make(schema)

    def _array(self, schema: Schema) -> Json:
        items = self._right(schema.get("items", {}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)

    def _object(self, schema: Schema) -> Json:
        members = {name: self._right(each) for name, each in schema.get("properties", {}).items()}
        if members:
            required = {name: members[name] for name in schema.get("required", ())}
            return st.fixed_dictionaries(
                required, optional={n: members[n] for n in members.keys() - required}
            )
        more = schema.get("additionalProperties")
        return st.dictionaries(_WORDS, self._right(more if isinstance(more, dict) else {}), max_size=3)


def _numbers(schema: Schema) -> Json:
    bounds = [int(schema[name]) for name in ("minimum", "exclusiveMinimum") if name in schema]
    low = max([*bounds, -1000])
    return st.integers(low, max(low, min(int(schema.get("maximum", 1000)), 1000)))


def _strings(schema: Schema) -> Json:
    if "camera" in schema.get("pattern", ""):
        return st.sampled_from(["camera0", "camera0", "camera7"])
    if schema.get("format") == "date-time":
        return st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-01T00:00:00+05:00", "2030-01-01"])
    return st.one_of(_WORDS, st.sampled_from(["snapshot.taken", "camera.connected", "camera0/a.jpg"]))


def _text(value: Any) -> str:
    return json.dumps(value)


def _broken(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts that are cut off, doubled, or have something wrong in their midst."""

    def spoil(drawn: tuple[str, int, str]) -> str:
        text, at, what = drawn
        at %= len(text) + 1
        return text[:at] if what == "cut" else text[:at] + what + text[at:]

    wrongs = st.sampled_from(
        ["cut", "cut", "{", "]", '"', ",", "\\", "\x00", "\ufeff", "//", "NaN", "1e999", "\n"]
    )
    return st.tuples(texts, st.integers(0, 400), wrongs).map(spoil)


#: Texts that have broken parsers.
_ODD = (
    "",
    " ",
    "[]",
    "[[]]",
    "[" * 100,
    "[" * 2000 + "]" * 2000,
    '{"a":' * 70 + "1" + "}" * 70,
    "[" + "1," * 60 + "1]",
    "-" + "9" * 5000,
    '{"jsonrpc":"2.0","id":1e400,"method":"ping"}',
    '{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
    '{"jsonrpc":"2.0","method":"ping","method":"get_camera_list","id":null}',
    '{"jsonrpc":"2.0","id":' + "9" * 400 + ',"method":"ping"}',
    '{"jsonrpc":"2.0","id":"' + "x" * 3000 + '","method":"ping"}',
    "\u2028",
    "null",
    "NaN",
)


@dataclass(frozen=True)
class Frame:
    """Frame of RFC 6455, section 5.2; `claimed` is the length in its header, its own if None."""

    payload: bytes = b""
    opcode: int = 1
    fin: bool = True
    reserved: int = 0
    mask: bytes | None = b"\x01\x02\x03\x04"
    claimed: int | None = None

    def encoded(self) -> bytes:
        size = len(self.payload) if self.claimed is None else self.claimed
        length, more = (
            (size, b"")
            if size < 126
            else (126, struct.pack(">H", size))
            if size < 1 << 16
            else (127, struct.pack(">Q", size))
        )
        is_masked = self.mask is not None
        head = bytes([self.fin << 7 | self.reserved << 4 | self.opcode, is_masked << 7 | length])
        return head + more + (self.mask or b"") + self._body()

    def _body(self) -> bytes:
        mask = self.mask
        if mask is None or not any(mask):
            return self.payload
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.payload))


_PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
#: Frames, right and wrong.
FRAMES: st.SearchStrategy[Frame] = st.builds(
    Frame,
    payload=st.one_of(
        st.just(_PING), st.binary(max_size=40), st.sampled_from([b"x" * 126, b"\xff\xfe", b"y" * 40_000])
    ),
    opcode=st.one_of(st.just(1), st.integers(0, 15)),
    fin=st.one_of(st.just(True), st.booleans()),
    reserved=st.one_of(st.just(0), st.integers(0, 7)),
    mask=st.one_of(st.just(b"\x01\x02\x03\x04"), st.none()),
    claimed=st.one_of(st.none(), st.none(), st.sampled_from([0, 7, 200, 70_000, 2**31, 2**63, 2**64 - 1])),
)
