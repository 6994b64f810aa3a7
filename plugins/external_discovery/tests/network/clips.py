"""Short files that cameras of tests send again and again, so that nothing is encoded while a test runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import av.video

__all__ = ("FPS", "Clips", "klv_packet")

FPS = 15
_SECONDS = 4
_SIZE = (320, 240)
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency"},
    "libx265": {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none:bframes=0"},
}


@dataclass(frozen=True)
class Clips:
    """Files of four seconds, in a folder of their own; each is made when it is first asked for."""

    folder: Path

    def h264(self) -> Path:
        return self._made("h264.mp4", partial(_encode, codec="libx264"))

    def h264_with_b_frames(self) -> Path:
        return self._made("b-frames.mp4", partial(_encode, codec="libx264", b_frames=2))

    def h264_with_aac(self) -> Path:
        return self._made("aac.mp4", partial(_encode, codec="libx264", audio="aac"))

    def h265(self) -> Path:
        return self._made("h265.mp4", partial(_encode, codec="libx265"))

    def klv(self) -> Path:
        """MPEG-TS with H.264 and one KLV packet (STANAG 4609) per picture."""
        return self._made("klv.ts", partial(_encode, codec="libx264", klv=True))

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(exist_ok=True)
            make(path)
        return path


def klv_packet(number: int) -> bytes:
    """Return a local set of MISB ST 0601 with the item 2, a time in microseconds: `number`."""
    item = bytes((2, 8)) + number.to_bytes(8, "big")
    return bytes.fromhex("060e2b34020b01010e01030101000000") + bytes((len(item),)) + item


def _encode(
    path: Path, *, codec: str, b_frames: int = 0, audio: str | None = None, klv: bool = False
) -> None:
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=FPS, options=_options(codec, b_frames))
        video.width, video.height = _SIZE
        video.pix_fmt = "yuv420p"
        video.gop_size = FPS // 2
        video.max_b_frames = b_frames
        video.codec_context.time_base = Fraction(1, FPS)
        sound: Any = container.add_stream(audio, rate=48_000, layout="mono") if audio else None
        data: Any = container.add_data_stream("klv") if klv else None
        for number in range(FPS * _SECONDS):
            picture = _picture(number)
            container.mux(video.encode(picture))
            if data is not None:
                container.mux_one(_data_packet(data, number))
        container.mux(video.encode(None))
        if sound is not None:
            _add_tone(container, sound)


def _options(codec: str, b_frames: int) -> dict[str, str]:
    options = dict(_OPTIONS[codec])
    if b_frames:
        del options["tune"]  # zerolatency allows none
        options["preset"] = "veryfast"
    return options


def _picture(number: int) -> av.VideoFrame:
    """Return grey that changes with the time, with a bar that moves."""
    width, height = _SIZE
    shade = 60 + number * 2
    line = bytearray((shade,) * width)
    at = number * 4 % (width - 40)
    line[at : at + 40] = bytes((230,)) * 40
    frame = av.VideoFrame(width, height, "gray8")
    plane = frame.planes[0]
    row = bytes(line) + bytes(plane.line_size - width)
    plane.update(row * height)
    frame.pts = number
    frame.time_base = Fraction(1, FPS)
    return frame.reformat(format="yuv420p")


def _data_packet(stream: Any, number: int) -> Any:
    packet: Any = av.Packet(klv_packet(number))
    packet.stream = stream
    packet.time_base = Fraction(1, 90_000)
    packet.pts = packet.dts = number * 90_000 // FPS
    return packet


def _add_tone(container: Any, stream: Any) -> None:
    size = 1024
    for start in range(0, 48_000 * _SECONDS, size):
        frame = av.AudioFrame("s16", "mono", size)
        samples = (int(8000 * math.sin((start + number) * 440 * math.tau / 48_000)) for number in range(size))
        frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in samples))
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
