"""Limits of what a sender can make the server keep."""

from collections.abc import Iterator
from datetime import UTC, datetime

import anyio
import pytest
from anyio.abc import ByteStream

from agent_core.plugin import VideoCodec
from agent_core.plugin.rtsp import Headers, Interleaved, Response, SessionDescription
from agent_core.testing import SimulatedClock
from embedded_server.media.codecs import Codec
from embedded_server.media.depacketize import Depacketizer
from embedded_server.media.fmp4 import Fmp4
from embedded_server.media.samples import Sample
from embedded_server.media.stream import Stream
from embedded_server.paths.camera_client import CameraClient
from embedded_server.recording.intakes import Intake
from embedded_server.recording.mixer import Mixer
from tests.odd.camera import VIDEO
from tests.odd.video import described

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class _Still(Intake):
    """Intake of a track whose clock stands still."""

    def push(self, packet: bytes, arrived: datetime) -> Iterator[Sample]:
        yield Sample(0, 0, 1, (packet,), key=True, arrived=arrived, track=1)

    def flush(self) -> Iterator[Sample]:
        yield from ()


@pytest.mark.parametrize(("size_bytes", "most"), [(1, 1024), (60_000, 200)])
def test_sound_whose_clock_stands_still_waits_for_no_picture(size_bytes: int, most: int) -> None:
    mixer = Mixer({0: _Still(), 1: _Still()}, {0: 90_000, 1: 8000})
    sent = 3000
    written = sum(1 for _ in range(sent) for _ in mixer.push(1, bytes(size_bytes), NOW))
    assert sent - most <= written < sent
    assert written + sum(1 for _ in mixer.flush()) == sent


def test_a_picture_of_countless_tiny_units_is_dropped() -> None:
    depacketizer = Depacketizer(VideoCodec.H264)
    aggregate = b"\x18" + b"\x00\x02\x01\x80" * 300
    found = []
    for number in range(60):
        head = b"\x80\x60" + number.to_bytes(2, "big") + bytes(8)
        found += list(depacketizer.push(head + aggregate, NOW))
    after = b"\x80\x60" + (60).to_bytes(2, "big") + (1).to_bytes(4, "big") + bytes(4) + b"\x01\x80"
    assert [*found, *depacketizer.push(after, NOW)] == []


def test_a_picture_that_stood_for_a_day_is_stored() -> None:
    video = Codec("H264", "H264", 90_000, 1)
    day = 86_400 * 90_000
    shown = Sample(0, 0, day, (b"\x65",), key=True, arrived=NOW)
    assert b"\xff\xff\xff\xff" in Fmp4({0: video}).part([shown])


class _Scripted(ByteStream):
    """Connection to a camera that says what it says, whatever it is asked."""

    def __init__(self, *said: bytes) -> None:
        self._said = list(said)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._said:
            raise anyio.EndOfStream
        return self._said.pop(0)

    async def send(self, item: bytes) -> None: ...

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_frames_before_the_answer_to_play_are_kept_up_to_a_size() -> None:
    body = described(VIDEO)
    ok = Response(200, Headers()).encode()
    frame = Interleaved(0, b"\x80\x60" + bytes(60_000)).encode()
    connection = _Scripted(ok, Response(200, Headers(), body).encode(), ok, *[frame] * 300, ok)
    client = CameraClient(connection, "rtsp://192.0.2.1/", None, "cam")
    stream = Stream(SessionDescription.parse(body), SimulatedClock())
    await client.play(await client.describe())
    with pytest.raises(anyio.EndOfStream):
        await client.relay(stream)
    assert 0 < stream.inbound_bytes <= 8 << 20
