"""Files that a full disk truncated, and the bytes cut off them, judged by FFmpeg."""

import os
from pathlib import Path

import pytest

from agent_core.base.errors import StorageFailed
from agent_core.media.fmp4 import segment_duration_s
from agent_core.media.repair import mend
from agent_core.plugin import ffmpeg

from .files import H264, plays, source, torn_at, whole_parts_end


@pytest.mark.parametrize(
    ("kind", "offset"),
    [
        (b"moof", -8),
        (b"moof", 4),  # no whole header of a box
        (b"mdat", 0),  # an index without pictures
        (b"mdat", 50),
        (b"mdat", -1),  # the last picture is not whole
    ],
)
async def test_a_file_torn_within_a_part_plays_once_it_is_mended(
    tmp_path: Path, kind: bytes, offset: int
) -> None:
    path = tmp_path / "a.mp4"
    await torn_at(path, kind, 3, offset)
    torn_bytes = path.stat().st_size - whole_parts_end(path)
    assert torn_bytes > 0
    os.utime(path, (1_000_000, 1_000_000))
    assert mend(path) == torn_bytes
    assert await plays(path)
    assert segment_duration_s(path) == pytest.approx(1.5)
    assert path.stat().st_mtime == 1_000_000
    assert mend(path) == 0


@pytest.mark.parametrize(
    ("kind", "count", "offset"),
    [
        (b"moof", 3, 0),  # nothing is torn
        (b"moof", 0, 60),  # nothing whole before it
        (b"moov", 0, 60),
    ],
)
async def test_nothing_else_is_cut(tmp_path: Path, kind: bytes, count: int, offset: int) -> None:
    path = tmp_path / "a.mp4"
    await torn_at(path, kind, count, offset)
    before = path.read_bytes()
    assert mend(path) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost_packets", [0.5, 3.5])
async def test_a_transport_stream_torn_within_a_packet_loses_its_last_picture(
    tmp_path: Path, lost_packets: float
) -> None:
    path = tmp_path / "a.ts"
    await ffmpeg.run(ffmpeg.locate(), [*source(10, 2, "640x480"), *H264, "-f", "mpegts", str(path)])
    pictures = await count_pictures(path)
    os.truncate(path, path.stat().st_size - int(lost_packets * 188))
    assert mend(path) > 0
    assert await plays(path)
    assert await count_pictures(path) == pictures - 1
    assert mend(path) == 0


async def count_pictures(path: Path) -> int:
    sizes = await ffmpeg.run(
        ffmpeg.locate(), ["-i", str(path), "-pix_fmt", "gray", "-vf", "scale=2:2", "-f", "rawvideo", "-"]
    )
    return len(sizes) // 4


async def test_bytes_that_are_no_part_are_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    await torn_at(path, b"moof", 3, 0)
    before = path.read_bytes() + b"\0\0\0\0" + b"what is this?" * 10
    path.write_bytes(before)
    assert mend(path) == 0
    assert path.read_bytes() == before


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "a.mp4", tmp_path / "b.mp4"
    await torn_at(path, b"moof", 3, 60)
    before = path.read_bytes()
    link.symlink_to(path)
    with pytest.raises(StorageFailed, match="symbolic link"):
        mend(link)
    assert path.read_bytes() == before


def test_a_file_that_is_gone_or_no_mp4_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        mend(tmp_path / "gone.mp4")
    (tmp_path / "a.mp4").write_bytes(b"not a recording at all")
    with pytest.raises(StorageFailed):
        mend(tmp_path / "a.mp4")


async def test_a_file_with_another_hard_link_is_not_cut(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "a.mp4", tmp_path / "backup.mp4"
    await torn_at(path, b"mdat", 3, 50)
    elsewhere.hardlink_to(path)
    before = elsewhere.read_bytes()
    assert mend(path) == 0
    assert elsewhere.read_bytes() == before
    elsewhere.unlink()
    assert mend(path) > 0
