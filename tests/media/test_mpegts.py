"""The length of transport streams that FFmpeg and MediaMTX write, whole, torn and across the clock's wrap."""

from pathlib import Path

import pytest

from agent_core.base.errors import StorageFailed
from agent_core.media import mpegts
from agent_core.plugin import ffmpeg

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p")


async def _make(path: Path, *arguments: str) -> Path:
    await ffmpeg.run(ffmpeg.locate(), ["-y", *arguments, "-f", "mpegts", str(path)])
    return path


def _video(fps: int, duration_s: float) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={fps}:duration={duration_s}")


@pytest.mark.parametrize("fps", [5, 15, 30])
async def test_the_length_is_that_of_the_frames(tmp_path: Path, fps: int) -> None:
    path = await _make(tmp_path / "a.ts", *_video(fps, 4), *H264)
    assert mpegts.segment_duration_s(path) == pytest.approx(4.0, abs=0.001)


async def test_reordered_pictures_do_not_change_the_length(tmp_path: Path) -> None:
    path = await _make(tmp_path / "a.ts", *_video(30, 3), "-c:v", "libx264", "-bf", "3", "-g", "60")
    assert mpegts.segment_duration_s(path) == pytest.approx(3.0, abs=0.001)


async def test_video_decides_where_there_is_sound_too(tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=duration=5")
    path = await _make(tmp_path / "a.ts", *sound, *_video(15, 2), *H264, "-c:a", "aac")
    assert mpegts.segment_duration_s(path) == pytest.approx(2.0, abs=0.001)


async def test_sound_alone_has_a_length(tmp_path: Path) -> None:
    path = await _make(tmp_path / "a.ts", "-f", "lavfi", "-i", "sine=duration=3", "-c:a", "aac")
    assert mpegts.segment_duration_s(path) == pytest.approx(
        3.0, abs=0.3
    )  # a PES packet holds many AAC frames


async def test_the_clock_may_wrap_within_the_file(tmp_path: Path) -> None:
    shortly_before = (1 << 33) / 90_000 - 2.0
    wrap = ("-output_ts_offset", f"{shortly_before}", "-muxdelay", "0", "-muxpreload", "0")
    path = await _make(tmp_path / "a.ts", *_video(15, 6), *H264, *wrap)
    stamps = [stamp.pts for stamp in mpegts._stamps(path.read_bytes())]  # that the file is what it should be
    assert max(stamps) - min(stamps) > 1 << 32
    assert mpegts.segment_duration_s(path) == pytest.approx(6.0, abs=0.001)


async def test_a_torn_file_is_as_long_as_what_is_left(tmp_path: Path) -> None:
    path = await _make(tmp_path / "a.ts", *_video(15, 4), *H264)
    whole = path.read_bytes()
    lengths = []
    for size in range(len(whole), 0, -997):
        path.write_bytes(whole[:size])
        lengths.append(mpegts.segment_duration_s(path))
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == pytest.approx(4.0, abs=0.001)
    assert lengths[len(lengths) // 2] > 1.0
    assert lengths[-1] == 0.0


async def test_a_large_last_picture_is_found(tmp_path: Path) -> None:
    noise = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=2:duration=2,noise=alls=100:allf=t")
    path = await _make(tmp_path / "a.ts", *noise, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "1")
    assert path.stat().st_size > 4 * mpegts._TAIL_BYTES  # otherwise this shows nothing
    assert mpegts.segment_duration_s(path) == pytest.approx(2.0, abs=0.001)


def test_an_empty_file_has_no_length(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.touch()
    assert mpegts.segment_duration_s(path) == 0.0


def test_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"not a transport stream " * 100)
    with pytest.raises(StorageFailed) as caught:
        mpegts.segment_duration_s(path)
    assert caught.value.reason == "not_mpegts"


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed) as caught:
        mpegts.segment_duration_s(tmp_path / "none.ts")
    assert caught.value.reason == "not_found"
    assert str(tmp_path) not in caught.value.details
