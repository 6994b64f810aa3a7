"""Choice of pictures, with packets that are read while one is decoded."""

import io
import os

import av
import pytest
from PIL import Image

from rtsp_tier.messages import TO_PLUGIN, Configure, Decoder, Message, Taken
from rtsp_tier.worker.group import Entry
from rtsp_tier.worker.live import LiveGroup
from rtsp_tier.worker.outbox import Outbox
from rtsp_tier.worker.picking import Picker
from rtsp_tier.worker.requests import Request, Requests

LATENCY_S = 0.2
SETTINGS = Configure(LATENCY_S, 10.0, 10.0, 8 << 20, 90)


def entry(number: int, arrival_s: float, stream_s: float) -> Entry:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), "tomato").save(buffer, "JPEG")
    packet = av.Packet(buffer.getvalue())
    packet.pts = packet.dts = number
    return Entry(number, packet, True, packet.size, arrival_s, stream_s)  # type: ignore[arg-type]  # of video


class BusyLive(LiveGroup):
    """Group of a stream whose next packet is read after a picture's time was looked at once."""

    def __init__(self, following: Entry) -> None:
        super().__init__(SETTINGS)
        self.following: Entry | None = following

    def exposed_s(self, entry: Entry) -> float:
        found_s = super().exposed_s(entry)
        if (following := self.following) is not None:
            self.following = None
            self.add(following)
        return found_s


def received(descriptor: int) -> list[Message]:
    os.set_blocking(descriptor, False)
    try:
        return list(Decoder(TO_PLUGIN).feed(os.read(descriptor, 1 << 20)))
    except BlockingIOError:
        return []


@pytest.mark.parametrize("key_frame_is_enough", [True, False])
def test_a_picture_that_a_later_packet_shows_to_be_too_old_is_not_given_out(
    *, key_frame_is_enough: bool
) -> None:
    reading, writing = os.pipe()
    requests = Requests(Outbox(writing))
    live = BusyLive(entry(1, 100.04, 0.54))  # the picture before it had waited for half a second
    live.add(entry(0, 100.0, 0.0))
    picker = Picker("mjpeg", b"", live, SETTINGS, requests)
    request = Request(1, 99.7, 200.0, key_frame_is_enough=key_frame_is_enough)
    requests.add(request)
    try:
        assert not picker.serve(request)
        assert received(reading) == []
        assert picker.serve(request)
        (taken,) = received(reading)
        assert isinstance(taken, Taken)
        assert taken.captured_s == pytest.approx(100.04 - LATENCY_S)
    finally:
        os.close(reading)
        os.close(writing)
