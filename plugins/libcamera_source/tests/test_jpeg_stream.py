"""Division of a program's output into pictures."""

import io
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from libcamera_source.jpeg_stream import JpegStream


def a_picture(seed: int, *, progressive: bool = False, thumbnail: bytes = b"") -> bytes:
    noise = Random(seed).randbytes(96 * 64)
    out = io.BytesIO()
    extra = {"comment": thumbnail} if thumbnail else {}
    Image.frombytes("L", (96, 64), noise).save(out, "JPEG", quality=90, progressive=progressive, **extra)
    return out.getvalue()


#: The comment of the third holds a whole picture, as Exif data do: its markers end nothing.
PICTURES = [a_picture(1), a_picture(2, progressive=True), a_picture(3, thumbnail=a_picture(4))]


def divided(data: bytes, sizes: list[int]) -> tuple[list[bytes], int]:
    stream, found, position = JpegStream(), list[bytes](), 0
    for size in [*sizes, len(data)]:
        found += stream.feed(data[position : position + size])
        position += size
    return found, stream.skipped


@settings(deadline=None)
@given(st.lists(st.sampled_from(PICTURES), max_size=5), st.lists(st.integers(0, 4000), max_size=30))
def test_pictures_are_found_however_the_chunks_are_cut(pictures: list[bytes], sizes: list[int]) -> None:
    assert divided(b"".join(pictures), sizes) == (pictures, 0)


@settings(deadline=None)
@given(st.sampled_from(PICTURES), st.binary(max_size=300).filter(lambda junk: b"\xff" not in junk))
def test_bytes_between_pictures_are_left_out(picture: bytes, junk: bytes) -> None:
    found, _ = divided(junk + picture + junk + picture, [])
    assert found == [picture, picture]


@settings(deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), max_size=9))
def test_garbage_raises_nothing_and_loses_no_later_picture(junk: bytes, sizes: list[int]) -> None:
    found, _ = divided(junk + b"\xff\xd9" + PICTURES[0] * 3, sizes)
    assert PICTURES[0] in found or b"\xff\xd8" in junk


def test_a_picture_cut_short_in_its_data_costs_no_other_one() -> None:
    whole = PICTURES[0]
    half = whole[: len(whole) // 2]
    assert divided(half + whole * 3, []) == ([half, whole, whole, whole], 0)


def test_a_picture_without_end_is_dropped_at_the_limit() -> None:
    stream = JpegStream(largest_bytes=10_000)
    assert list(stream.feed(PICTURES[0][:-2])) == []
    for _ in range(100):
        assert list(stream.feed(b"\x00" * 1000)) == []
    assert stream.skipped
    assert list(stream.feed(PICTURES[1])) == [PICTURES[1]]


@pytest.mark.parametrize("largest", [2, 3, 100])
def test_a_limit_below_any_picture_keeps_little(largest: int) -> None:
    stream = JpegStream(largest_bytes=largest)
    found = [*stream.feed(PICTURES[0] * 3)]
    assert sum(map(len, found)) + len(stream._data) <= 3 * len(PICTURES[0])
