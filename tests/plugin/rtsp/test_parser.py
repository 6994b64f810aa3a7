import random
from collections.abc import Iterator

import pytest

from agent_core.plugin.rtsp import (
    Headers,
    Interleaved,
    Limits,
    Message,
    Request,
    Response,
    RtspError,
    RtspParser,
)

CONVERSATION: tuple[Message, ...] = (
    Request("OPTIONS", "rtsp://host:8554/camera0", Headers({"CSeq": "1"})),
    Response(200, Headers({"CSeq": "1", "Public": "DESCRIBE, SETUP"}), reason="OK"),
    Request("ANNOUNCE", "rtsp://host/a", Headers({"CSeq": "2", "Content-Length": "5"}), b"v=0\r\n"),
    Interleaved(0, b"\x80\x60" + bytes(range(200))),
    Interleaved(1, b""),
    Response(
        401, Headers([("CSeq", "2"), ("WWW-Authenticate", "a"), ("WWW-Authenticate", "b")]), reason="No"
    ),
    Interleaved(255, b"$\r\n\r\n$"),
    Request("GET_PARAMETER", "*", Headers({"CSeq": "3", "Session": "x;timeout=60"})),
)
BYTES = b"".join(message.encode() for message in CONVERSATION)


def portions(data: bytes, chance: random.Random) -> Iterator[bytes]:
    while data:
        size = chance.choice((1, 1, 2, 3, 7, 40, 400))
        yield data[:size]
        data = data[size:]


@pytest.mark.parametrize("seed", range(40))
def test_any_portions_give_the_same_messages(seed: int) -> None:
    parser = RtspParser()
    found = [message for part in portions(BYTES, random.Random(seed)) for message in parser.feed(part)]
    assert found == list(CONVERSATION)
    assert parser.pending_bytes == 0


def test_one_portion_gives_them_too() -> None:
    assert list(RtspParser().feed(BYTES)) == list(CONVERSATION)


def test_bare_line_feeds_and_blank_lines_between_messages_are_tolerated() -> None:
    (found,) = RtspParser().feed(b"\r\n\nOPTIONS * RTSP/1.0\nCSeq : 4 \nX-Empty:\n\n")
    assert found == Request("OPTIONS", "*", Headers([("CSeq", "4"), ("X-Empty", "")]))


def test_other_encodings_and_folded_fields_are_tolerated() -> None:
    (found,) = RtspParser().feed(b"RTSP/1.0 200 OK\r\nServer: Cam\xe9ra\r\nX-Long: a\r\n b\r\n\tc\r\n\r\n")
    assert found == Response(200, Headers({"Server": "Cam\xe9ra", "X-Long": "a b c"}), reason="OK")


@pytest.mark.parametrize("noise", [b"\0\0\0\0", b"\xff\xfe\x80", b"\r\n\0\r\n"])
def test_stray_bytes_between_messages_are_skipped(noise: bytes) -> None:
    parser = RtspParser(Limits(head_bytes=len(BYTES)))
    rounds = len(BYTES)  # so that the noise of all messages together is over the limit of one place
    data = noise + Interleaved(0, b"x").encode()
    assert list(parser.feed(data * rounds)) == [Interleaved(0, b"x")] * rounds


def test_a_response_without_a_reason_is_one() -> None:
    (found,) = RtspParser().feed(b"RTSP/1.0 200\r\n\r\n")
    assert found == Response(200)


def test_an_unfinished_message_is_held() -> None:
    parser = RtspParser()
    assert list(parser.feed(b"OPTIONS * RTS")) == []
    assert parser.pending_bytes == 13


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "first line"),
        (b"OPTIONS * RTSP/2.0\r\n\r\n", "first line"),
        (b"RTSP/1.0 OK\r\n\r\n", "first line"),
        (b"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", "header line"),
        (b"OPTIONS * RTSP/1.0\r\nA: b\x00\r\n\r\n", "header line"),
        (b"OPTIONS * RTSP/1.0\r\nA: b\rc\r\n\r\n", "header line"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", "one number"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "one number"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 999999999\r\n\r\n", "body is over"),
        (b"O" * 20_000, "head is over"),
        (b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * 101 + b"\r\n", "more than 100"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfcTLS\r\n\r\n", "first line"),
        (bytes(20_000), "belong to neither"),
    ],
)
def test_what_is_not_rtsp_is_one_clear_error(data: bytes, sentence: str) -> None:
    parser = RtspParser()
    with pytest.raises(RtspError, match=sentence):
        list(parser.feed(data))
    with pytest.raises(RtspError, match=sentence):
        list(parser.feed(b"OPTIONS * RTSP/1.0\r\n\r\n"))
    assert parser.pending_bytes == 0


def outcome(data: bytes, chance: random.Random, limits: Limits | None = None) -> tuple[list[Message], str]:
    """Messages and error, with memory checked on the way."""
    parser, found = RtspParser(limits), list[Message]()
    try:
        for part in portions(data, chance):
            for message in parser.feed(part):
                found.append(message)
            assert parser.pending_bytes <= 0xFFFF + 4
    except RtspError as error:
        return found, str(error)
    return found, ""


def test_messages_before_the_fault_are_given() -> None:
    found, error = outcome(b"OPTIONS * RTSP/1.0\r\n\r\nnonsense\r\n\r\n", random.Random(0))
    assert found == [Request("OPTIONS", "*")]
    assert "first line" in error


def test_a_head_that_never_ends_is_bounded() -> None:
    parser = RtspParser(Limits(head_bytes=1000))
    for _ in range(20):
        assert list(parser.feed(b"a" * 50)) == []
    with pytest.raises(RtspError, match="head is over 1000"):
        list(parser.feed(b"a"))


@pytest.mark.parametrize("seed", range(300))
def test_any_bytes_in_any_portions_give_messages_or_one_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(BYTES if seed % 3 else chance.randbytes(3000))
    for _ in range(chance.randrange(12)):
        place = chance.randrange(len(data))
        change = chance.choice(
            (b"", b"$", b"\r\n", b"\x00", b"\xff\xfe", b": ", b"RTSP/1.0 ", chance.randbytes(9))
        )
        data[place : place + chance.randrange(5)] = change
    limits = Limits(head_bytes=600, body_bytes=900)
    assert outcome(bytes(data), chance, limits) == outcome(bytes(data), random.Random(seed + 1), limits)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_read_can_be_written_and_read_again(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(BYTES)
    for _ in range(4):
        data[chance.randrange(len(data))] = chance.randrange(32, 127)
    messages, _ = outcome(bytes(data), chance)
    again = list(RtspParser().feed(b"".join(message.encode() for message in messages)))
    assert again == messages
