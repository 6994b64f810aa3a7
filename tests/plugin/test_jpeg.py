import io
import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from PIL import ExifTags, Image

from agent_core.plugin import jpeg
from agent_core.plugin.jpeg import JpegError

AT = datetime(2026, 11, 22, 17, 3, 54, 123456, tzinfo=UTC)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def encode(image: Image.Image, **options: object) -> bytes:
    output = io.BytesIO()
    image.save(output, "JPEG", **options)
    return output.getvalue()


PICTURES = {
    "plain": encode(noise(40, 24)),
    "progressive": encode(noise(40, 24), progressive=True),
    "restarts": encode(noise(64, 64), restart_marker_blocks=1),
    "grey": encode(noise(33, 17).convert("L")),
    "comment": encode(noise(16, 16), comment=b"\xff\xd9 an end marker in a comment"),
    "exif": encode(noise(16, 16), exif=Image.Exif().tobytes()),
}
each_picture = pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)


@each_picture
def test_size_and_length_are_those_of_the_picture(data: bytes) -> None:
    info = jpeg.inspect(data)
    with Image.open(io.BytesIO(data)) as image:
        assert (info.width, info.height) == image.size
    assert info.size_bytes == len(data)


@each_picture
def test_no_truncation_passes_for_whole(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(JpegError):
            jpeg.inspect(data[:length])
        with pytest.raises(JpegError):
            jpeg.with_capture_time(data[:length], AT)


@each_picture
def test_no_damage_raises_anything_but_our_error(data: bytes) -> None:
    chance = random.Random(7)
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice(
                (0, 0xFF, 0xD8, 0xD9, chance.randrange(256))
            )
        try:
            info = jpeg.inspect(bytes(damaged))
        except JpegError as error:
            assert str(error)
        else:
            assert 0 < info.size_bytes <= len(damaged)


def test_arbitrary_bytes_are_no_jpeg() -> None:
    chance = random.Random(3)
    for length in range(200):
        for start in (b"", b"\xff\xd8", b"\xff\xd8\xff"):
            with pytest.raises(JpegError):
                jpeg.inspect(start + chance.randbytes(length))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not start"),
        (b"GIF89a", "does not start"),
        (b"\xff\xd8", "ends inside its header"),
        (b"\xff\xd8\xff", "ends inside its header"),
        (b"\xff\xd8\xff\xff\xff", "ends inside its header"),
        (b"\xff\xd8\xff\xe0\x00\x01..", "header is damaged"),
        (b"\xff\xd8\x00\xe0\x00\x04..", "header is damaged"),
        (b"\xff\xd8\xff\xd9", "header is damaged"),
        (b"\xff\xd8\xff\xda\x00\x02..\xff\xd9", "size is missing"),
        (b"\xff\xd8\xff\xc0\x00\x09\x08\x00\x00\x00\x00..\xff\xda\x00\x02..\xff\xd9", "size is missing"),
        (PICTURES["plain"][:-2], "end is missing"),
        (PICTURES["plain"][:-2] + PICTURES["plain"], "picture data is damaged"),
        (PICTURES["plain"][:-40] + b"\xff\x4f" + PICTURES["plain"][-40:], "picture data is damaged"),
    ],
)
def test_each_kind_of_damage_has_its_sentence(data: bytes, message: str) -> None:
    with pytest.raises(JpegError, match=message):
        jpeg.inspect(data)


@pytest.mark.parametrize(
    "tail",
    [bytes(500_000), b"\1" * 500_000, b"\xff" * 9000, bytes(4096) + b"\1", b"\xff\xd9", PICTURES["grey"]],
)
def test_what_follows_the_end_does_not_count(tail: bytes) -> None:
    data = PICTURES["plain"]
    assert jpeg.inspect(data + tail).size_bytes == len(data)


def test_fill_bytes_before_a_marker_are_accepted() -> None:
    data = PICTURES["plain"]
    assert jpeg.inspect(data[:2] + b"\xff\xff" + data[2:]).width == 40
    assert jpeg.inspect(data[:-2] + b"\xff\xff" + data[-2:]).width == 40


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "exif"])
def test_the_capture_time_is_readable_and_all_else_is_as_it_was(name: str) -> None:
    data = PICTURES[name]
    stamped = jpeg.with_capture_time(data, AT)
    with Image.open(io.BytesIO(stamped)) as image:
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        image.load()
    assert exif[ExifTags.Base.DateTimeOriginal] == "2026:11:22 17:03:54"
    assert exif[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert exif[ExifTags.Base.SubsecTimeOriginal] == "123"
    assert exif[ExifTags.Base.ExifVersion] == b"0232"
    at = stamped.index(b"Exif\0\0") - 4
    length = int.from_bytes(stamped[at + 2 : at + 4], "big") + 2
    assert stamped[:at] + stamped[at + length :] == data


def test_the_jfif_segment_stays_first() -> None:
    stamped = jpeg.with_capture_time(PICTURES["plain"], AT)
    assert stamped[2:4] == b"\xff\xe0"
    assert stamped.index(b"JFIF") < stamped.index(b"Exif")


def test_another_zone_is_written_as_utc() -> None:
    there = AT.astimezone(timezone(timedelta(hours=2)))
    assert jpeg.with_capture_time(PICTURES["plain"], there) == jpeg.with_capture_time(PICTURES["plain"], AT)


def test_a_picture_that_knows_its_time_keeps_it() -> None:
    assert jpeg.with_capture_time(PICTURES["exif"], AT) == PICTURES["exif"]
    once = jpeg.with_capture_time(PICTURES["plain"], AT)
    assert jpeg.with_capture_time(once, AT + timedelta(days=1)) == once


def test_stamping_takes_the_padding_off() -> None:
    data = PICTURES["plain"]
    assert jpeg.with_capture_time(data + b"\0" * 99, AT) == jpeg.with_capture_time(data, AT)


def without_tables(data: bytes) -> tuple[bytes, bytes]:
    """`data` as a camera sends it that leaves the Huffman tables out, and the tables."""
    kept, tables, position = data[:2], b"", 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xC4:
            tables += data[position + 4 : end]
        else:
            kept += data[position:end]
        position = end
    return kept + data[position:], tables


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_missing_huffman_tables_are_put_in(mode: str) -> None:
    original = encode(noise(64, 48).convert(mode))
    bare, tables = without_tables(original)
    completed = jpeg.with_huffman_tables(bare)
    assert tables[:28] in completed  # Pillow's are those of the standard; of a grey picture only half of them
    assert mode == "L" or tables in completed
    assert len(completed) == len(bare) + 420
    assert jpeg.inspect(completed) == jpeg.JpegInfo(64, 48, len(completed))
    assert Image.open(io.BytesIO(completed)).tobytes() == Image.open(io.BytesIO(original)).tobytes()


def test_what_has_tables_or_is_no_jpeg_gets_none() -> None:
    for data in (encode(noise(16, 16), optimize=True), b"", b"\xff\xd8", b"no picture at all"):
        assert jpeg.with_huffman_tables(data) is data
