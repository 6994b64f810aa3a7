import random
import struct

import pytest

from virtual_camera.smjpeg import SmjpegError, SmjpegReader
from virtual_camera.timed_picture import TimedPicture

PICTURES = [TimedPicture(4294967290 + n if n < 5 else n - 5, bytes([n]) * (n * 37)) for n in range(9)]


def chunk(tag: bytes, data: bytes) -> bytes:
    return tag + struct.pack(">I", len(data)) + data


def timed(tag: bytes, time_ms: int, data: bytes) -> bytes:
    return tag + struct.pack(">II", time_ms, len(data)) + data


HEADER = (
    b"\0\nSMJPEG"
    + struct.pack(">II", 0, 0)
    + chunk(b"_TXT", b"encoder = x")
    + chunk(b"_VID", bytes(12))
    + b"HEND"
)
STREAM = HEADER + b"".join(timed(b"vidD", each.time_ms, each.data) for each in PICTURES) + b"DONE"


def feed(pieces: list[bytes]) -> list[TimedPicture]:
    reader = SmjpegReader()
    return [picture for piece in pieces for picture in reader.feed(piece)]


def test_whole() -> None:
    assert feed([STREAM]) == PICTURES


def test_byte_by_byte() -> None:
    assert feed([STREAM[at : at + 1] for at in range(len(STREAM))]) == PICTURES


@pytest.mark.parametrize("seed", range(50))
def test_any_boundaries(seed: int) -> None:
    chance = random.Random(seed)
    cuts = sorted(chance.choices(range(len(STREAM)), k=chance.randint(1, 40)))
    pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert feed(pieces) == PICTURES


def test_a_picture_comes_with_its_last_byte_and_not_before() -> None:
    reader = SmjpegReader()
    assert reader.feed(HEADER + timed(b"vidD", 7, b"abc")[:-1]) == []
    assert reader.feed(b"c") == [TimedPicture(7, b"abc")]


def test_sound_is_skipped() -> None:
    assert feed([HEADER + timed(b"sndD", 1, b"noise") + timed(b"vidD", 2, b"picture")]) == [
        TimedPicture(2, b"picture")
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF", "does not start"),
        (b"\0\nSMJPEG" + struct.pack(">II", 1, 0), "version 1"),
        (HEADER + b"what", "unknown chunk"),
        (HEADER + b"_TXT", "unknown chunk"),
        (HEADER[:16] + b"vidD", "unknown chunk"),
        (HEADER + b"vidD" + struct.pack(">II", 0, 0xFFFFFFFF), "impossibly large"),
    ],
)
def test_damage_is_an_error_and_stays_one(data: bytes, message: str) -> None:
    reader = SmjpegReader()
    with pytest.raises(SmjpegError, match=message):
        reader.feed(data)
    with pytest.raises(SmjpegError, match=message):
        reader.feed(STREAM)


def test_damage_raises_nothing_but_our_error() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        damaged = bytearray(STREAM)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        reader = SmjpegReader()
        try:
            while damaged:
                size = chance.randint(1, 400)
                reader.feed(bytes(damaged[:size]))
                del damaged[:size]
        except SmjpegError as error:
            assert str(error)


def test_arbitrary_bytes_are_refused_at_the_first_wrong_one() -> None:
    for first in range(1, 256):
        with pytest.raises(SmjpegError):
            SmjpegReader().feed(bytes([first]))
