"""Common time of the tracks of a recording, by the reports of the sender and by arrival."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import VideoCodec
from agent_core.plugin.rtsp import SessionDescription
from agent_core.testing import SimulatedClock
from embedded_server.faults import Faults
from embedded_server.media.depacketize import AccessUnit
from embedded_server.media.g711 import linear
from embedded_server.media.samples import Sample, Sampler
from embedded_server.media.stream import Stream
from embedded_server.recording.record_path import RecordPath
from embedded_server.recording.recorder import Recorder, RecordSettings
from embedded_server.recording.roots import RecordingRoots
from tests.odd.contents import packets, times_of
from tests.odd.video import CLOCK_HZ, RATE, Habits, Packetizer, Video, described, encode

SOUND_HZ = 8000
PIECE_S = 0.02
SOUND = f"m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/{SOUND_HZ}\r\na=control:trackID=1\r\n"
VIDEO_START, SOUND_START = 0xFFFF_F000, 77_000
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode(tmp_path_factory.mktemp("video"), "H264", *X264, "-bf", "0")


def sound_packet(number: int, *, rate_hz: float = SOUND_HZ) -> bytes:
    """Return piece number n of the sound: its content is n, its time n pieces after the start of the video."""
    timestamp = SOUND_START + round(number * PIECE_S * rate_hz)
    head = b"\x80\0" + number.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + b"\0\0\0\2"
    return head + bytes([number % 100]) * round(PIECE_S * SOUND_HZ)


def report(ntp_s: float, timestamp: int) -> bytes:
    whole = round(ntp_s * (1 << 32))
    return struct.pack(">BBHIQIII", 0x80, 200, 6, 1, whole, timestamp & 0xFFFF_FFFF, 0, 0)


async def record(
    folder: Path,
    video: Video,
    *,
    sound_delay_s: float = 0.0,
    sound_rate_hz: float = SOUND_HZ,
    reports: Callable[[Stream, float], None] = lambda _stream, _time: None,
    file_format: str = "fmp4",
) -> list[Path]:
    """Record the video and the sound, which arrives late; `reports` is called before each picture."""
    clock = SimulatedClock()
    stream = Stream(SessionDescription.parse(described(video.media + SOUND)), clock)
    path = RecordPath(f"{folder}/%path/%s-%f", file_format, "cam")
    settings = RecordSettings(path, RecordingRoots((folder,)), 0.5, 1 << 20, 1.0)
    recorder = Recorder("cam", stream, settings, Faults())
    camera, heard = Packetizer("H264", Habits(), first_timestamp=VIDEO_START), 0
    async with anyio.create_task_group() as tg:
        tg.start_soon(recorder.run)
        await anyio.wait_all_tasks_blocked()
        for number, (nalus, time) in enumerate(video.pictures):
            reports(stream, number / RATE)
            for packet in camera.packets(nalus, time):
                stream.rtp(0, packet)
            while heard * PIECE_S + sound_delay_s <= number / RATE:
                stream.rtp(1, sound_packet(heard, rate_hz=sound_rate_hz))
                heard += 1
            await clock.advance(1 / RATE)
        recorder.stop()
    return sorted((folder / "cam").glob("*"))


def late_by(file: Path, start_s: float) -> list[float]:
    """Return by how much (s) each piece of sound in a file, which starts at `start_s` of the video, is late."""
    numbers = {linear(bytes([number]), mu_law=True): number for number in range(100)}
    found = [(numbers[bytes(packet)[:2]], times_of(packet)[1]) for packet in packets(file, "audio")]
    late_s = [start_s + time_s - number * PIECE_S for number, time_s in found]
    return [(one + 1) % 2 - 1 for one in late_s]  # a content comes again after 100 pieces, 2 s


async def test_without_reports_sound_is_placed_by_its_arrival(tmp_path: Path, video: Video) -> None:
    file, *_ = await record(tmp_path, video)
    assert max(map(abs, late_by(file, 0))) < 1 / RATE
    delayed, *_ = await record(tmp_path / "delayed", video, sound_delay_s=0.3)
    assert late_by(delayed, 0)[0] == pytest.approx(0.3, abs=1 / RATE)


async def test_reports_place_sound_that_arrives_late(tmp_path: Path, video: Video) -> None:
    def both(stream: Stream, _time_s: float) -> None:
        stream.rtcp(0, report(1000, VIDEO_START))
        stream.rtcp(1, report(1000, SOUND_START))

    first, second, *_ = await record(tmp_path, video, sound_delay_s=0.3, reports=both)
    assert max(map(abs, late_by(first, 0))) < 0.001
    assert max(map(abs, late_by(second, 16 / RATE))) < 0.001, "the second segment starts with picture 16"


async def test_reports_that_come_later_correct_the_sound(tmp_path: Path, video: Video) -> None:
    def later(stream: Stream, time_s: float) -> None:
        if time_s > 0.5:
            stream.rtcp(0, report(1000, VIDEO_START))
            stream.rtcp(1, report(1000, SOUND_START))

    first, second, *_ = await record(tmp_path, video, sound_delay_s=0.3, reports=later)
    assert late_by(first, 0)[0] == pytest.approx(0.3, abs=1 / RATE)
    assert max(map(abs, late_by(second, 16 / RATE))) < 0.001


async def test_reports_of_clocks_that_have_nothing_to_do_with_each_other_are_ignored(
    tmp_path: Path, video: Video
) -> None:
    def odd(stream: Stream, _time_s: float) -> None:
        stream.rtcp(0, report(1000, VIDEO_START))
        stream.rtcp(1, report(3_900_000_000, SOUND_START))

    first, *_ = await record(tmp_path, video, reports=odd)
    assert max(map(abs, late_by(first, 0))) < 1 / RATE


async def test_a_sound_clock_of_a_wrong_rate_is_corrected_by_the_reports(
    tmp_path: Path, video: Video
) -> None:
    rate_hz = SOUND_HZ * 1.2

    def both(stream: Stream, time_s: float) -> None:
        stream.rtcp(0, report(1000 + time_s, VIDEO_START + round(time_s * CLOCK_HZ)))
        stream.rtcp(1, report(1000 + time_s, SOUND_START + round(time_s * rate_hz)))

    files = await record(tmp_path, video, sound_rate_hz=rate_hz, reports=both)
    assert len(files) == 3
    for number, file in enumerate(files):
        assert max(map(abs, late_by(file, number * 16 / RATE))) < 0.2


async def test_no_sound_is_lost_or_doubled_between_segments(tmp_path: Path, video: Video) -> None:
    numbers: list[int] = []
    known = {linear(bytes([number]), mu_law=True): number for number in range(100)}
    for file in await record(tmp_path, video):
        numbers += [known[bytes(packet)[:2]] for packet in packets(file, "audio")]
    assert numbers == [number % 100 for number in range(numbers[0], numbers[0] + len(numbers))]
    assert numbers[0] == 0
    assert len(numbers) * PIECE_S == pytest.approx(len(video.pictures) / RATE, abs=0.1)


SPS_BASELINE_REORDER_UNKNOWN = b"\x67\x4d\x00\x1f"


def test_pictures_that_reorder_without_saying_so_get_times_in_order_after_the_first_group() -> None:
    arrived = datetime(2026, 1, 1, tzinfo=UTC)
    sampler = Sampler(VideoCodec.H264, (SPS_BASELINE_REORDER_UNKNOWN, b"\x68"), CLOCK_HZ, lambda _text: None)
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    found: list[Sample] = []
    for index, place in enumerate(order):
        is_b = index > 1 and index % 3 != 1
        slice_unit = b"\x65\x88" if index == 0 else (b"\x01\x9e" if is_b else b"\x41\x9a")
        found += sampler.push(AccessUnit(place * 3000, (slice_unit + bytes(12),), index == 0, arrived))
    found += sampler.flush()
    assert [sample.pts for sample in found] == [place * 3000 for place in order]
    assert all(after.dts - before.dts == before.duration for before, after in pairwise(found))
    assert all(sample.duration > 0 for sample in found)
    assert all(sample.dts <= sample.pts for sample in found[5:])


@pytest.mark.parametrize("file_format", ["fmp4", "mpegts"])
async def test_reordered_pictures_are_never_shown_before_they_are_decoded(
    tmp_path: Path, file_format: str
) -> None:
    moved = encode(tmp_path, "H264", *X264, "-bf", "2", "-b_strategy", "0")
    for file in await record(tmp_path, moved, file_format=file_format):
        times = [times_of(packet) for packet in packets(file, "video")]
        assert all(decoded <= shown for decoded, shown in times)
        assert [decoded for decoded, _ in times] == sorted({decoded for decoded, _ in times})
        assert any(decoded < shown for decoded, shown in times)
