"""Pictures that a recorder writes, by the moment at which it joins a stream."""

from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.plugin import ffmpeg
from agent_core.plugin.rtsp import SessionDescription
from agent_core.testing import SimulatedClock
from embedded_server.faults import Faults
from embedded_server.media.stream import Stream
from embedded_server.recording.record_path import RecordPath
from embedded_server.recording.recorder import Recorder, RecordSettings
from embedded_server.recording.roots import RecordingRoots

PICTURES = 4
SIZE = (64, 64)
_CLOCK_HZ = 90_000
_DESCRIPTION = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)
_SLICES = {1, 5}


@pytest.fixture
async def packets() -> list[bytes]:
    """Return RTP packets with one NAL unit each: key pictures of two slices, 25 per second."""
    source = [
        "-f",
        "lavfi",
        "-i",
        f"color=white:size={SIZE[0]}x{SIZE[1]}:rate=25",
        "-frames:v",
        str(PICTURES),
    ]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "1", "-x264-params", "slices=2"]
    stream = await ffmpeg.run(ffmpeg.locate(), [*source, *encoder, "-f", "h264", "-"])
    nalus = [nalu.removesuffix(b"\0") for nalu in stream.split(b"\0\0\1")[1:]]
    slices_seen = 0
    found = []
    for number, nalu in enumerate(nalus):
        is_slice = nalu[0] & 0x1F in _SLICES
        timestamp = _CLOCK_HZ // 25 * (slices_seen // 2)
        slices_seen += is_slice
        is_last = is_slice and slices_seen % 2 == 0
        head = bytes([0x80, 96 | is_last << 7]) + number.to_bytes(2, "big") + timestamp.to_bytes(4, "big")
        found.append(head + b"\0\0\0\1" + nalu)
    assert slices_seen == 2 * PICTURES
    return found


async def recorded(folder: Path, before: list[bytes], after: list[bytes]) -> list[bytes]:
    """Return the decoded grey pictures of a recorder that joins between these packets."""
    stream = Stream(SessionDescription.parse(_DESCRIPTION), SystemClock())
    record_path = RecordPath(f"{folder}/%path/%s-%f", "fmp4", "cam")
    settings = RecordSettings(record_path, RecordingRoots((folder,)), 1, 1 << 20, 3600)
    recorder = Recorder("cam", stream, settings, Faults())
    for packet in before:
        stream.rtp(0, packet)
    async with anyio.create_task_group() as tg:
        tg.start_soon(recorder.run)
        await anyio.wait_all_tasks_blocked()
        for packet in after:
            stream.rtp(0, packet)
        recorder.stop()
    (file,) = folder.rglob("*.mp4")
    shown = ["-xerror", "-i", str(file), "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    data = await ffmpeg.run(ffmpeg.locate(), shown)
    size_bytes = SIZE[0] * SIZE[1]
    return [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]


def last_of(packets: list[bytes], picture: int) -> int:
    """Return the index of the last packet of the picture."""
    return [index for index, packet in enumerate(packets) if packet[1] & 0x80][picture]


async def test_a_recorder_that_joins_first_has_every_picture(tmp_path: Path, packets: list[bytes]) -> None:
    assert len(await recorded(tmp_path, [], packets)) == PICTURES


async def test_a_recorder_that_joins_between_pictures_has_all_later_pictures(
    tmp_path: Path, packets: list[bytes]
) -> None:
    at = last_of(packets, 0) + 1
    assert len(await recorded(tmp_path, packets[:at], packets[at:])) == PICTURES - 1


async def test_a_recorder_that_joins_inside_a_picture_begins_with_the_next(
    tmp_path: Path, packets: list[bytes]
) -> None:
    at = last_of(packets, 1)
    pictures = await recorded(tmp_path, packets[:at], packets[at:])
    assert len(pictures) == PICTURES - 2
    assert all(min(picture) > 200 for picture in pictures), "a slice that is missing is not white"


@pytest.mark.parametrize(
    ("nalu", "cause"),
    [
        (b"\x7c\x05abc", "no complete picture"),  # the middle of a fragmented unit
        (b"\x41\x80abc", "no key picture"),
        (b"\x65\x80abc", "no parameter sets"),
    ],
)
async def test_a_stream_with_which_no_recording_begins_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, nalu: bytes, cause: str
) -> None:
    clock = SimulatedClock()
    stream = Stream(SessionDescription.parse(_DESCRIPTION), clock)
    record_path = RecordPath(f"{tmp_path}/%path/%s-%f", "mpegts", "cam")
    settings = RecordSettings(record_path, RecordingRoots((tmp_path,)), 1, 1 << 20, 3600)
    recorder = Recorder("cam", stream, settings, Faults())
    async with anyio.create_task_group() as tg:
        tg.start_soon(recorder.run)
        await anyio.wait_all_tasks_blocked()
        for second in range(30):
            time = (_CLOCK_HZ * second).to_bytes(4, "big")
            stream.rtp(0, b"\x80\xe0" + second.to_bytes(2, "big") + time + bytes(4) + nalu)
            await clock.advance(1)
        recorder.stop()
    assert not list(tmp_path.rglob("*.ts"))
    said = [line for line in caplog.text.splitlines() if "nothing is recorded yet" in line]
    assert len(said) == 1
    assert said[0].endswith(cause)
