"""Camera that sends numbered pictures of H.264 or H.265 on a frame socket, with the faults that cameras have."""

import io
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from pathlib import Path

import anyio
import av
from PIL import Image

from agent_core.base.listening import accept_clients
from agent_core.plugin import CapturedAtSource, first_of
from agent_core.plugin.frames.capture_note import capture_note
from agent_core.testing import SystemClock

__all__ = ("Clip", "Coded", "CodedCamera", "bars", "encoded", "encoder", "number_in")

_BITS = 9
_TRACKS = {"h264": b"V_MPEG4/ISO/AVC", "h265": b"V_MPEGH/ISO/HEVC"}
_ENCODERS = {"h264": "libx264", "h265": "libx265"}
#: ID of the additionals that are notes.
_NOTES = 2
#: Pictures that are exposed while one is coded: those that are shown before it.
_CODING_PICTURES = 3
#: Time between two pictures of a backlog, as the frame server squeezes it.
_SQUEEZED_US = 20


@dataclass(frozen=True, slots=True)
class Coded:
    """Coded picture; `shown` is its number in the order in which pictures are shown, which it shows as bars."""

    data: bytes
    is_key: bool
    shown: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Pictures in decoding order, which a camera repeats. `private` are the parameter sets as Matroska has them."""

    codec: str
    size: tuple[int, int]
    private: bytes
    pictures: tuple[Coded, ...]


@cache
def encoded(
    codec: str = "h264",
    *,
    size: tuple[int, int] = (288, 96),
    group: int = 8,
    pictures: int = 80,
    b_frames: int = 0,
) -> Clip:
    """Encode pictures that show their numbers; `pictures` is a multiple of `group`."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = encoder(output, codec, size, group, b_frames=b_frames)
        for number in range(pictures):
            frame = bars(number, size)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        track = source.streams.video[0]
        packets = [each for each in source.demux(track) if each.size]
        times = sorted(each.pts or 0 for each in packets)
        found = tuple(Coded(bytes(each), each.is_keyframe, times.index(each.pts or 0)) for each in packets)
        return Clip(codec, size, track.codec_context.extradata or b"", found)


def encoder(
    output: av.container.OutputContainer, codec: str, size: tuple[int, int], group: int, *, b_frames: int = 0
) -> av.VideoStream:
    """Return an encoder with a key frame every `group` pictures."""
    options = {"preset": "ultrafast", "bf": str(b_frames), "b_strategy": "0", "sc_threshold": "0"}
    if not b_frames:
        options["tune"] = "zerolatency"
    if codec == "h265":
        options["x265-params"] = (
            f"log-level=none:bframes={b_frames}:b-adapt=0:scenecut=0:open-gop=0:repeat-headers=1"
        )
    stream = output.add_stream(_ENCODERS[codec], rate=25, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt, stream.gop_size = "yuv420p", group
    return stream


def bars(number: int, size: tuple[int, int]) -> av.VideoFrame:
    """Return a picture that shows a number."""
    picture, width = Image.new("RGB", size), size[0] // _BITS
    for bit in range(_BITS):
        if number >> bit & 1:
            picture.paste("white", (bit * width, 0, (bit + 1) * width, size[1]))
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call] # of PyAV
    return frame


def number_in(jpeg: bytes) -> int:
    """Return the number that a picture shows."""
    picture = Image.open(io.BytesIO(jpeg)).convert("L")
    width, middle = picture.width // _BITS, picture.height // 2
    row = picture.tobytes()[middle * picture.width : (middle + 1) * picture.width]
    return sum(1 << bit for bit in range(_BITS) if row[bit * width + width // 2] > 128)


@dataclass
class CodedCamera:
    """Camera that has run since long ago. Its pictures are exposed `1 / fps` apart and sent when they are complete.

    Attributes:
        clip: what it sends, again and again.
        fps: pictures per second.
        has_notes: the socket tells with each picture when it was taken.
        settled_s: time from which its pictures are settled.
        silent_after: pictures after which the socket is silent.
        cut_after: pictures after which the socket is closed inside the next one.
        leaves_out: number of the picture, in decoding order, that is not sent.
    """

    clip: Clip
    fps: float = 25.0
    has_notes: bool = True
    settled_s: float = 0.0
    silent_after: int | None = None
    cut_after: int | None = None
    leaves_out: int | None = None
    connections: int = 0
    open: int = 0
    start_s: float = field(default_factory=lambda: time.monotonic() - 1000.0)
    _path: Path = Path("/nowhere")

    @property
    def url(self) -> str:
        return f"unix:{self._path}"

    def exposed_s(self, number: int) -> float:
        """Return when the picture of this number, counted in the order of showing, was exposed."""
        return self.start_s + number / self.fps

    def latest_exposure_s(self, shown: int) -> float:
        """Return the latest exposure so far of a picture that shows this number."""
        length = len(self.clip.pictures)
        newest = int((time.monotonic() - self.start_s) * self.fps)
        return self.exposed_s(newest - (newest - shown) % length)

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[str]:
        """Serve clients; return the address for the worker."""
        self._path = path
        with socket.socket(socket.AF_UNIX) as listener:
            listener.setblocking(False)
            listener.bind(str(path))
            listener.listen()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    partial(accept_clients, listener, self._serve, tasks=tasks, clock=SystemClock())
                )
                try:
                    yield self.url
                finally:
                    tasks.cancel_scope.cancel()
                    path.unlink(missing_ok=True)

    async def _serve(self, client: socket.socket) -> None:
        self.connections += 1
        self.open += 1
        try:
            with client:
                await first_of(partial(self._send_while_read, client), partial(anyio.wait_readable, client))
        finally:
            self.open -= 1

    async def _send_while_read(self, client: socket.socket) -> None:
        with suppress(OSError):
            await self._send(client)

    async def _send(self, client: socket.socket) -> None:
        await _send_all(client, _header(self.clip, self.fps))
        newest = number = self._newest()
        while not self._picture(number).is_key:
            number -= 1
        for sent in count():
            if sent == self.silent_after:
                await anyio.sleep_forever()
            block = self._block(number, newest)
            if sent == self.cut_after:
                await _send_all(client, block[: len(block) // 2])
                return
            if number % len(self.clip.pictures) != self.leaves_out:
                await _send_all(client, block)
            number += 1
            while self._newest() < number:
                await anyio.sleep(0.5 / self.fps)

    def _newest(self) -> int:
        """Return the number, in decoding order, of the newest picture that the camera has coded."""
        return int((time.monotonic() - self.start_s) * self.fps) - _CODING_PICTURES

    def _picture(self, number: int) -> Coded:
        return self.clip.pictures[number % len(self.clip.pictures)]

    def _captured_s(self, number: int) -> float:
        before = number // len(self.clip.pictures) * len(self.clip.pictures)
        return self.exposed_s(before + self._picture(number).shown)

    def _block(self, number: int, newest: int) -> bytes:
        picture, captured_s = self._picture(number), self._captured_s(number)
        time_us = int(captured_s * 1e6)
        if number < newest:  # part of the backlog
            time_us = int(self._captured_s(newest) * 1e6) - (newest - number) * _SQUEEZED_US
        parts = [_element(0xA1, b"\x81\0\0\0" + picture.data)]
        if self.has_notes:
            settled = captured_s >= self.settled_s
            note = capture_note(captured_s, CapturedAtSource.DEVICE, settled=settled)
            parts.append(_element(0x75A1, _element(0xA6, _number(0xEE, _NOTES), _element(0xA5, note))))
        if not picture.is_key:
            parts.append(_number(0xFB, 1))
        return _element(0x1F43B675, _number(0xE7, time_us), _element(0xA0, *parts))


async def _send_all(client: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(client)


def _header(clip: Clip, fps: float) -> bytes:
    """Return the beginning of a live Matroska stream with one track (RFC 9559), whose segment has no size."""
    ebml = _element(
        0x1A45DFA3,
        *(_number(0x4286, 1), _number(0x42F7, 1), _number(0x42F2, 4), _number(0x42F3, 8)),
        *(_element(0x4282, b"matroska"), _number(0x4287, 4), _number(0x4285, 2)),
    )
    info = _element(0x1549A966, _number(0x2AD7B1, 1000), _element(0x4D80, b"test"), _element(0x5741, b"test"))
    mapping = _element(0x41E4, _number(0x41F0, _NOTES), _number(0x41E7, 1))
    track = _element(
        0xAE,
        *(_number(0xD7, 1), _number(0x73C5, 1), _number(0x83, 1), _number(0x9C, 0)),
        *(_number(0x55EE, _NOTES), mapping, _element(0x86, _TRACKS[clip.codec])),
        *(_element(0x63A2, clip.private), _number(0x23E383, round(1e9 / fps))),
        _element(0xE0, _number(0xB0, clip.size[0]), _number(0xBA, clip.size[1])),
    )
    return ebml + bytes.fromhex("18538067") + b"\x01" + b"\xff" * 7 + info + _element(0x1654AE6B, track)


def _element(element_id: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    name = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    return name + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(element_id: int, value: int) -> bytes:
    return _element(element_id, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
