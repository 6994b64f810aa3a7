"""The length of transport streams that FFmpeg and MediaMTX write, whole, torn and across the clock's wrap."""

import os
from pathlib import Path

import pytest

from agent_core.base.errors import StorageFailed
from agent_core.media import mpegts
from agent_core.media.mpegts import TsMedia
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


def packet(
    pts: int | None = None,
    *,
    pid: int = 0x100,
    stream: int = 0xE0,
    adaptation: int | None = None,
    control: int | None = None,
    flags: int = 0x40,
    scrambling: int = 0,
    length: int | None = None,
    start_code: bytes = b"\0\0\1",
    has_pts: bool = True,
) -> bytes:
    """A packet; with `pts`, the first of a picture. `adaptation` is the length of that field without its length byte."""
    if control is None:
        control = 1 if adaptation is None else 3
    field = b"" if adaptation is None else bytes([adaptation]) + b"\xff" * adaptation
    pes = b"\xff" * 184
    if pts is not None:
        stamp = [
            0x21 | pts >> 29 & 0x0E,
            pts >> 22 & 0xFF,
            pts >> 14 & 0xFF | 1,
            pts >> 7 & 0xFF,
            pts << 1 & 0xFF | 1,
        ]
        pes = start_code + bytes([stream, 0, 0, 0x80, 0x80 if has_pts else 0x7F, 5, *stamp]) + pes
    head = bytes([0x47, flags | pid >> 8, pid & 0xFF, scrambling | control << 4 | 0x0F])
    return (head + field + pes)[: 188 if length is None else length].ljust(188, b"\xff")


def stamps(*packets: bytes) -> list[tuple[int, int, int]]:
    return [(each.pid, each.stream_id, each.pts) for each in mpegts._stamps(b"".join(packets))]


NOTHING = packet(pid=0x1FFF)
SECOND = 90_000


@pytest.mark.parametrize("pts", [0, 1, 127, 128, 0x1_5555_5555, 0x0_AAAA_AAAA, 0x1_2345_6789, (1 << 33) - 1])
@pytest.mark.parametrize("pid", [0x20, 0x100, 0x0ABC, 0x1FFE])
def test_every_bit_of_a_time_stamp_has_its_place(pts: int, pid: int) -> None:
    assert stamps(packet(pts, pid=pid, stream=0xE5)) == [(pid, 0xE5, pts)]


@pytest.mark.parametrize("adaptation", [0, 1, 7, 169])
def test_a_stamp_is_found_behind_any_adaptation_field(adaptation: int) -> None:
    assert stamps(packet(5, adaptation=adaptation)) == [(0x100, 0xE0, 5)]
    assert stamps(packet(5, adaptation=adaptation, scrambling=0xC0, flags=0xE0)) == [(0x100, 0xE0, 5)]


@pytest.mark.parametrize(
    "without",
    [
        packet(5, adaptation=170),  # a byte too few is left
        packet(5, control=0),
        packet(5, adaptation=7, control=2),
        packet(5, flags=0xA0),  # not the first packet of a picture
        packet(5, start_code=b"\0\0\2"),
        packet(5, start_code=b"\0\1\1"),
        packet(5, has_pts=False),
        b"\x48" + packet(5)[1:],
    ],
)
def test_what_has_no_stamp_is_passed_over(without: bytes) -> None:
    assert stamps(packet(1), without, packet(2)) == [(0x100, 0xE0, 1), (0x100, 0xE0, 2)]
    assert stamps(packet(1), without, packet(2)[:-1]) == [(0x100, 0xE0, 1)], "an incomplete packet"


def measured(path: Path, *packets: bytes) -> TsMedia | None:
    path.write_bytes(b"".join(packets))
    with path.open("rb") as file:
        return mpegts.media_of(file.fileno())


def test_the_last_picture_is_as_long_as_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    assert measured(path, packet(7)) == TsMedia(7, 0)
    assert measured(path, packet(7), packet(17)) == TsMedia(7, 20)
    assert measured(path, packet(7), packet(17), packet(47), packet(37)) == TsMedia(7, 50)
    assert measured(path, packet(7), packet(99, pid=0x101), packet(17), packet(17)) == TsMedia(7, 20)
    assert measured(path, packet(7), packet(17), packet(27)[:100]) == TsMedia(7, 20)
    assert measured(path, packet(7)[:187]) is None
    assert measured(path, NOTHING) is None


def test_the_clock_wraps_and_a_leading_picture_is_before_the_first(tmp_path: Path) -> None:
    path, wrap = tmp_path / "a.ts", 1 << 33
    assert measured(path, packet(wrap - 10), packet(10)) == TsMedia(wrap - 10, 40)
    for first in (100 * SECOND, 5):
        earlier = (first - 60 * SECOND + 1) % wrap
        assert measured(path, packet(first), packet(earlier)) == TsMedia(first, 60 * SECOND - 1)
        earlier = (first - 60 * SECOND) % wrap
        assert measured(path, packet(first), packet(earlier)) == TsMedia(first, 2 * (wrap - 60 * SECOND))


@pytest.mark.parametrize(
    ("streams", "measured_one"),
    [
        ((0xBD, 0xC0, 0xE0), 2),
        ((0xBD, 0xDF, 0xEF), 2),
        ((0xBD, 0xC0, 0xF0), 1),
        ((0xBD, 0xBF, 0xF0), 0),
        ((0xBC, 0xE0, 0xE1), 1),
        ((0xBC, 0xBE, 0xF0), None),
    ],
)
def test_video_is_measured_or_sound_or_private_data(
    tmp_path: Path, streams: tuple[int, ...], measured_one: int | None
) -> None:
    pairs = [
        (packet(at, pid=at, stream=each), packet(3 * at, pid=at, stream=each))
        for at, each in enumerate(streams, 50)
    ]
    packets = [each for pair in pairs for each in pair]
    expected = None if measured_one is None else TsMedia(50 + measured_one, 4 * (50 + measured_one))
    assert measured(tmp_path / "a.ts", *packets) == expected


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_the_first_packets_tell_a_transport_stream(tmp_path: Path, count: int) -> None:
    path, wrong = tmp_path / "a.ts", b"\x48" + NOTHING[1:]
    for at in range(count):
        packets = [packet(7), *[NOTHING] * (count - 1)]
        packets[at] = wrong
        if at < 4:
            with pytest.raises(StorageFailed):
                measured(path, *packets)
        else:
            assert measured(path, *packets) == TsMedia(7, 0)


@pytest.mark.parametrize(("before", "is_found"), [(8191, True), (8192, False)])
def test_the_first_stamp_is_searched_in_the_first_packets_only(
    tmp_path: Path, before: int, is_found: bool
) -> None:
    found = measured(tmp_path / "a.ts", *[NOTHING] * before, packet(7), packet(17))
    assert found == (TsMedia(7, 20) if is_found else None)


@pytest.mark.parametrize("between", [2045, 2046, 2047, 9000, 20_000])
def test_the_picture_before_the_last_one_is_found_at_any_distance(tmp_path: Path, between: int) -> None:
    packets = [packet(7), packet(17), packet(37), *[NOTHING] * between, packet(67)]
    assert measured(tmp_path / "a.ts", *packets) == TsMedia(7, 90)
    assert measured(tmp_path / "a.ts", packet(7), *[NOTHING] * between, packet(67)) == TsMedia(7, 120)


def torn(path: Path, *packets: bytes) -> int:
    path.write_bytes(b"".join(packets))
    with path.open("rb") as file:
        return mpegts.torn_bytes(file.fileno())


def test_a_torn_picture_goes_from_its_first_packet_to_the_end(tmp_path: Path) -> None:
    path, sound = tmp_path / "a.ts", packet(9, pid=0x101, stream=0xC0)
    rest = NOTHING[:50]
    assert torn(path, sound, packet(1), NOTHING, packet(2), NOTHING, sound, rest) == 3 * 188 + 50
    assert torn(path, packet(1), packet(2), rest) == 188 + 50
    assert torn(path, packet(1), packet(2)[:-1]) == 0, "no picture would be left"
    assert torn(path, packet(1), sound, rest) == 0
    assert torn(path, packet(1), packet(2), packet(3)) == 0, "it ends with a packet"
    assert torn(path, NOTHING, rest) == 0


def test_a_torn_picture_is_searched_near_the_end_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    with path.open("wb") as file:
        file.write(packet(1))
        file.seek(512 * 1024 * 188, os.SEEK_CUR)
        file.write(packet(2) + packet(3) + NOTHING + NOTHING[:50])
    with path.open("rb") as file:
        assert mpegts.torn_bytes(file.fileno()) == 2 * 188 + 50


def test_what_looks_like_a_packet_within_one_is_none() -> None:
    assert stamps(NOTHING[:4] + packet(9)[:184], packet(2)) == [(0x100, 0xE0, 2)]
