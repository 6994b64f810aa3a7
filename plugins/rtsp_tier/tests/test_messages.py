"""Encoding of the messages to and from the worker: every message returns unchanged, and nothing else is one."""

import json
import random
import re
import struct
import tracemalloc
from pathlib import Path

import pytest

from rtsp_tier import messages
from rtsp_tier.messages import (
    TO_PLUGIN,
    TO_WORKER,
    Cancel,
    CloseReader,
    Configure,
    Decoder,
    Failed,
    Message,
    MessageError,
    OpenReader,
    Ping,
    Pong,
    ReaderEnded,
    ReaderOpen,
    Reason,
    StreamOpen,
    Taken,
    TakeOnce,
    TakeResident,
)

TO_WORKER_EXAMPLES: list[Message] = [
    Configure(0.25, 5.0, 4, 8 << 20, 90),
    OpenReader(1, "rtsp://127.0.0.1:8554/camera1", "reader", "pa\u00df\nword\x00"),
    OpenReader(2, "unix:/run/camera-agent/camera2.sock", interval_s=0.04),
    CloseReader(1),
    TakeResident(7, 2, -3.5, 1234.5678, key_frame_is_enough=True),
    TakeOnce(8, "rtsps://[::1]:8322/a", None, None, 10.0, 11.0, 0.04, 10.8),
    Cancel(8),
    Ping(0),
]
TO_PLUGIN_EXAMPLES: list[Message] = [
    StreamOpen(4),
    ReaderOpen(1),
    ReaderEnded(1, Reason.CREDENTIALS, "The media server refused the password."),
    Taken(7, 1920, 1080, 1234.25, b"\xff\xd8" + bytes(range(256)) * 500 + b"\xff\xd9"),
    Taken(
        7,
        1920,
        1080,
        1234.25,
        b"\xff\xd8",
        "device",
        is_settled=False,
        settled_by="time",
        settled_after_s=1.5,
    ),
    Failed(8, Reason.NOT_LIVE, "No stream.", "Start it."),
    Pong(0, 60 << 20),
]
OPENING = {"type": "OpenReader", "reader": 1, "url": "x", "user": None, "password": None, "interval_s": 0}
TAKEN = {
    "type": "Taken",
    "request": 1,
    "width": 1,
    "height": 1,
    "captured_s": 1.0,
    "source": "estimated",
    "is_settled": True,
    "settled_by": None,
    "settled_after_s": None,
}
EXAMPLES = [(TO_WORKER, each) for each in TO_WORKER_EXAMPLES] + [
    (TO_PLUGIN, each) for each in TO_PLUGIN_EXAMPLES
]


def decoded(classes: tuple[type[Message], ...], data: bytes, chunk: int | None = None) -> list[Message]:
    decoder = Decoder(classes)
    size = chunk or len(data) or 1
    found = [each for at in range(0, len(data), size) for each in decoder.feed(data[at : at + size])]
    decoder.end()
    return found


def raw(header: object, payload: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", len(text), len(payload)) + text + payload


def test_the_examples_are_of_every_class() -> None:
    assert {type(each) for each in TO_WORKER_EXAMPLES} == set(TO_WORKER)
    assert {type(each) for each in TO_PLUGIN_EXAMPLES} == set(TO_PLUGIN)


@pytest.mark.parametrize("chunk", [1, 7, 8, None])
def test_messages_return_unchanged_however_the_bytes_are_cut(chunk: int | None) -> None:
    for classes, examples in ((TO_WORKER, TO_WORKER_EXAMPLES), (TO_PLUGIN, TO_PLUGIN_EXAMPLES)):
        assert decoded(classes, b"".join(map(messages.encode, examples)), chunk) == examples


@pytest.mark.parametrize(("classes", "example"), EXAMPLES, ids=lambda each: type(each).__name__)
def test_a_message_that_is_cut_short_is_an_error_and_gives_nothing(
    classes: tuple[type[Message], ...], example: Message
) -> None:
    data = messages.encode(example)
    for size in {1, 7, 8, 9, len(data) // 2, len(data) - 1}:
        decoder = Decoder(classes)
        assert list(decoder.feed(data[:size])) == []
        with pytest.raises(MessageError, match="inside a message"):
            decoder.end()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (struct.pack(">II", 0, 0), "header of a message has 0 bytes"),
        (struct.pack(">II", 1 << 20, 0), "header of a message has 1048576 bytes"),
        (struct.pack(">II", 20, 1 << 30), "payload of a message has 1073741824 bytes"),
        (b"Traceback (most recent call last)", "header of a message has"),
        (raw(b"{" * 9), "not JSON"),
        (raw(b"[" * 60_000), "not JSON"),
        (raw(b"\xff\xfe\xfd"), "not JSON"),
        (raw([1]), "not an object"),
        (raw({}), "class of a message is unknown"),
        (raw({"type": []}), "class of a message is unknown"),
        (raw({"type": "Pong", "number": 1, "rss_bytes": 1}), "class of a message is unknown"),
        (raw({"type": "Ping"}), "Ping does not have exactly its fields"),
        (raw({"type": "Ping", "number": 1, "x": 1}), "Ping does not have exactly its fields"),
        (raw({"type": "Ping", "number": True}), "field number of Ping"),
        (raw({"type": "Ping", "number": 1.5}), "field number of Ping"),
        (raw({"type": "Ping", "number": -1}), "field number of Ping"),
        (raw({"type": "Ping", "number": 1 << 70}), "field number of Ping"),
        (raw(b'{"type":"Ping","number":' + b"9" * 5000 + b"}"), "not JSON"),
        (raw({"type": "Ping", "number": 1}, b"x"), "Ping has a payload"),
        (raw(OPENING | {"url": None}), "field url"),
        (raw(OPENING | {"user": 1}), "field user"),
        (raw(OPENING | {"interval_s": "1"}), "field interval_s"),
    ],
)
def test_what_is_no_message_is_a_clear_error(data: bytes, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        list(Decoder(TO_WORKER).feed(data))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300, "1", None, True])
def test_a_time_is_a_finite_number(value: object) -> None:
    with pytest.raises(MessageError, match="captured_s of Taken"):
        list(Decoder(TO_PLUGIN).feed(raw(TAKEN | {"captured_s": value}, b"x")))
    with pytest.raises(MessageError, match="captured_s of Taken"):
        messages.encode(Taken(1, 1, 1, value, b"x"))  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("value", ["", "no_such_reason", 5, None, ["not_live"], "NOT_LIVE"])
def test_a_reason_is_one_of_the_table(value: object) -> None:
    with pytest.raises(MessageError, match="reason of ReaderEnded"):
        list(
            Decoder(TO_PLUGIN).feed(
                raw({"type": "ReaderEnded", "reader": 1, "reason": value, "details": "x"})
            )
        )


def test_a_message_that_is_too_large_is_not_encoded() -> None:
    with pytest.raises(MessageError, match="header of a message has"):
        messages.encode(OpenReader(1, "rtsp://" + "x" * 70_000))
    with pytest.raises(MessageError, match="payload of a message has"):
        messages.encode(Taken(1, 1, 1, 1.0, bytes((64 << 20) + 1)))


def test_random_bytes_and_damaged_messages_are_errors_or_messages_and_take_no_memory() -> None:
    chance = random.Random(12)
    whole = b"".join(messages.encode(each) for each in TO_WORKER_EXAMPLES)
    tracemalloc.start()
    for _ in range(3000):
        data = bytearray(whole if chance.random() < 0.7 else chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(1, 6) if data else 0):
            data[chance.randrange(len(data))] = chance.randrange(256)
        decoder = Decoder(TO_WORKER)
        try:
            found = list(decoder.feed(bytes(data)))
            decoder.end()
        except MessageError as error:
            assert str(error).isprintable()
        else:
            assert all(isinstance(each, TO_WORKER) for each in found)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_an_announced_size_reserves_no_memory() -> None:
    tracemalloc.start()
    decoder = Decoder(TO_PLUGIN)
    assert list(decoder.feed(struct.pack(">II", 60, 60 << 20))) == []
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1 << 20


def test_secrets_are_in_no_repr_and_no_error() -> None:
    secrets = OpenReader(1, "rtsp://host/?token=hidden", "hidden", "hidden")
    assert "hidden" not in repr(secrets)
    assert "hidden" not in repr(TakeOnce(1, "rtsp://host/?token=hidden", "hidden", "hidden", 0.0, 1.0))
    with pytest.raises(MessageError) as caught:
        list(Decoder(TO_WORKER).feed(raw({"type": "Ping", "hidden": "hidden"})))
    assert "hidden" not in str(caught.value)


def test_each_reason_that_a_caller_sees_is_a_row_of_the_readme() -> None:
    """`no_reader` only makes a tier open a reader."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    table = readme.partition("## Why there is no picture")[2].partition("## ")[0]
    _, *said = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(said) == sorted({*Reason, "recently_failed"} - {Reason.NO_READER})
