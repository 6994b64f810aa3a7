"""Repair of a recording's files: only of those that are complete."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent_core.media.fmp4 import is_finished
from agent_core.plugin import ffmpeg
from agent_core.recordings.segments import MediaTimes, Segment, SegmentLengths, media_files, mend_closed
from tests.media.files import H264, half_second_parts, plays, source, started, torn_at


def sized(path: Path, size_bytes: int) -> Segment:
    return Segment(path.name, path, size_bytes, datetime.now(UTC))


def listed(folder: Path) -> list[Segment]:
    return sorted(media_files(folder), key=lambda each: each.name)


@pytest.fixture
async def torn(tmp_path: Path) -> list[Path]:
    """Three segments, each torn in the index of its fourth part."""
    paths = [tmp_path / f"2026-11-22_10-0{minute}-00-000000.mp4" for minute in range(3)]
    for path in paths:
        await torn_at(path, b"moof", 3, -8)
    return paths


async def test_a_segment_that_is_still_written_is_not_touched(tmp_path: Path, torn: list[Path]) -> None:
    before = torn[-1].read_bytes()
    assert mend_closed(listed(tmp_path)) > 0
    assert [await plays(path) for path in torn] == [True, True, False]
    assert torn[-1].read_bytes() == before
    assert mend_closed(listed(tmp_path)) == 0


async def test_the_last_one_is_mended_once_its_header_is_complete(tmp_path: Path, torn: list[Path]) -> None:
    data = bytearray(torn[-1].read_bytes())
    at = data.index(b"mvhd") + 4
    data[at + 16 : at + 20] = (1500).to_bytes(4, "big")
    torn[-1].write_bytes(data)
    assert is_finished(torn[-1])
    mend_closed(listed(tmp_path))
    assert await plays(torn[-1])


async def test_the_last_transport_stream_is_mended_on_a_full_disk_only(tmp_path: Path) -> None:
    path = tmp_path / "2026-11-22_10-00-00-000000.ts"
    await ffmpeg.run(ffmpeg.locate(), [*source(10, 1), *H264, "-f", "mpegts", str(path)])
    os.truncate(path, path.stat().st_size - 100)
    assert mend_closed(listed(tmp_path)) == 0
    assert mend_closed(listed(tmp_path), is_disk_full=True) > 0


async def test_one_that_cannot_be_mended_keeps_no_other_from_it(
    tmp_path: Path, torn: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    torn[0].write_bytes(b"something that is no recording")
    assert mend_closed(listed(tmp_path)) > 0
    assert await plays(torn[1])
    assert torn[0].name in caplog.text


def test_a_file_that_cannot_be_mended_has_lost_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "2026-11-22_10-00-00-000000.mp4").write_bytes(b"something that is no recording")
    (tmp_path / "2026-11-22_10-01-00-000000.mp4").touch()
    assert mend_closed(listed(tmp_path)) == 0


async def test_lengths_are_cached_by_file_and_read_again_when_the_size_changes(
    tmp_path: Path, torn: list[Path]
) -> None:
    lengths = SegmentLengths()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"something that is no recording")
    assert lengths.duration_s(sized(torn[0], 1000)) > 0
    assert lengths.duration_s(sized(broken, 1000)) == 0, "another file of the same size"
    torn[0].write_bytes(b"")
    assert lengths.duration_s(sized(torn[0], 1000)) > 0, "not read again"
    assert lengths.duration_s(sized(torn[0], 0)) == 0


async def test_a_full_cache_is_emptied_for_the_next_file(tmp_path: Path) -> None:
    lengths = SegmentLengths(most=2)
    paths = [await half_second_parts(tmp_path / f"{name}.mp4", duration_s=1) for name in "abc"]
    for path in paths[:2]:
        lengths.times(sized(path, 1000))
    for path in paths:
        path.write_bytes(b"")
    assert [lengths.duration_s(sized(path, 1000)) for path in paths[:2]] == [1.0, 1.0], "both are kept"
    lengths.times(sized(paths[2], 1000))
    assert lengths.duration_s(sized(paths[0], 1000)) == 0, "read again"


async def test_a_file_of_either_format_has_its_times(tmp_path: Path) -> None:
    fmp4, ts = await half_second_parts(tmp_path / "a.mp4", duration_s=1), tmp_path / "a.ts"
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    fmp4.write_bytes(started(fmp4.read_bytes(), start))
    await ffmpeg.run(ffmpeg.locate(), [*source(10, 1), *H264, "-f", "mpegts", str(ts)])
    lengths = SegmentLengths()
    assert lengths.times(sized(fmp4, 1)) == MediaTimes(1.0, start.timestamp())
    assert lengths.times(sized(ts, 1)).started_s is None
    assert lengths.duration_s(sized(ts, 1)) == pytest.approx(1.0)
