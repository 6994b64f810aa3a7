"""Encoded test pictures, and their RTP packets as odd cameras make them."""

import base64
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_core.plugin import VideoCodec, ffmpeg
from agent_core.plugin.video import nal

__all__ = ("CLOCK_HZ", "PICTURES", "RATE", "Habits", "Packetizer", "Video", "described", "encode")

CLOCK_HZ = 90_000
RATE = 15
START = b"\0\0\0\1"
PICTURES = 40
_CODECS = {"H264": VideoCodec.H264, "H265": VideoCodec.H265}


@dataclass(frozen=True, slots=True)
class Video:
    """Pictures in decoding order, each with its NAL units and its time in units of the RTP clock.

    The parameter sets are in front of each key picture.
    """

    codec: str
    pictures: tuple[tuple[tuple[bytes, ...], int], ...]

    @property
    def media(self) -> str:
        """Medium of a session description, without parameter sets."""
        return f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {self.codec}/{CLOCK_HZ}\r\na=control:trackID=0\r\n"

    @property
    def media_with_sets(self) -> str:
        """The same with the parameter sets; of H.264 only."""
        first, _ = self.pictures[0]
        units = [unit for unit in first if _is_set(self.codec, unit)]
        sets = ",".join(base64.b64encode(unit).decode() for unit in units)
        formatted = f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={sets}\r\n"
        return self.media.replace("a=control", f"{formatted}a=control")

    @property
    def description(self) -> bytes:
        """Description without parameter sets."""
        return described(self.media)

    @property
    def stream(self) -> bytes:
        """All units as a byte stream, for a decoder."""
        return b"".join(START + unit for nalus, _ in self.pictures for unit in nalus)

    @property
    def length(self) -> int:
        """Time from the first picture to the first of a repetition, in units of the RTP clock."""
        return len(self.pictures) * CLOCK_HZ // RATE


def _kind(codec: str, unit: bytes) -> int:
    return nal.nalu_type(_CODECS[codec], unit)


def _is_set(codec: str, unit: bytes) -> bool:
    return _kind(codec, unit) in nal.SETS[_CODECS[codec]]


def described(media: str) -> bytes:
    """Return a session description with these media."""
    return f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n{media}".encode()


def encode(
    folder: Path, codec: str, *encoder: str, size: str = "128x96", group: int = 8, pictures: int = PICTURES
) -> Video:
    """Encode test pictures with a delimiter each and a key picture every `group` pictures."""
    file, name = folder / f"video-{size}-{group}.mkv", "h264" if codec == "H264" else "hevc"
    source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={RATE}", "-frames:v", str(pictures)]
    _ffmpeg(*source, *encoder, "-g", str(group), "-y", str(file))
    copy = ["-i", str(file), "-c", "copy", "-bsf:v", f"{name}_mp4toannexb,{name}_metadata=aud=insert"]
    data = _ffmpeg(*copy, "-f", name, "-")
    listed = _ffmpeg(*copy, "-f", "framecrc", "-").decode()
    times_ms = [int(line.split(",")[2]) for line in listed.splitlines() if line[0] != "#"]
    units = [part.rstrip(b"\0") for part in data.split(b"\0\0\1")[1:]]
    delimiter = 9 if codec == "H264" else 35
    starts = [index for index, unit in enumerate(units) if _kind(codec, unit) == delimiter]
    groups = [tuple(units[at:end]) for at, end in zip(starts, [*starts[1:], len(units)], strict=True)]
    times = [round(time_ms * RATE / 1000) * CLOCK_HZ // RATE for time_ms in times_ms]
    return Video(codec, tuple(zip(groups, times, strict=True)))


def _ffmpeg(*arguments: str) -> bytes:
    done = subprocess.run([ffmpeg.locate(), *ffmpeg.QUIET, *arguments], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this FFmpeg cannot encode the video: {done.stderr.decode()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Habits:
    """How a camera deviates.

    Attributes:
        marker: the units with the marker bit: `last` of a picture, `none`, `each`, or `sets`, which is last and sets.
        sets_time: `own`, `previous` picture's or in `between`, of all units before the first slice.
        packing: `single` units, `joined` in Annex B, `prefixed` with a start code, or `typeless` fragments of Annex B.
        delimiter: the camera sends access unit delimiters.
        mtu: the most bytes of a payload; larger units are fragmented.
    """

    marker: str = "last"
    sets_time: str = "own"
    packing: str = "single"
    delimiter: bool = False
    mtu: int = 1400

    @classmethod
    def of(cls, chance: random.Random) -> "Habits":
        return cls(
            chance.choice(("last", "none", "each", "sets")),
            chance.choice(("own", "previous", "between")),
            chance.choice(("single", "joined", "prefixed", "typeless")),
            chance.random() < 0.5,
            chance.choice((100, 700, 1400)),
        )


class Packetizer:
    """Makes RTP packets of pictures, with habits; `packets` returns the packets of the next picture."""

    def __init__(self, codec: str, habits: Habits, *, first_timestamp: int = 0xFFFF_0000) -> None:
        self._codec = codec
        self._habits = habits
        self._sequence = 0xFFF0
        self._first_timestamp = first_timestamp
        self._previous = first_timestamp

    def packets(self, nalus: tuple[bytes, ...], time: int) -> list[bytes]:
        timestamp = self._first_timestamp + time
        delimiter = 9 if self._codec == "H264" else 35
        units = [unit for unit in nalus if self._habits.delimiter or _kind(self._codec, unit) != delimiter]
        if self._habits.packing == "joined":
            units = [START.join(units)]
        found: list[bytes] = []
        for index, unit in enumerate(units):
            is_last = index == len(units) - 1
            payloads = list(self._payloads(unit))
            at = (
                timestamp
                if nal.is_slice(_CODECS[self._codec], unit) or is_last
                else self._time_of_set(timestamp)
            )
            found += [
                self._packet(
                    payload, at, marker=number == len(payloads) - 1 and self._is_marked(unit, is_last)
                )
                for number, payload in enumerate(payloads)
            ]
        self._previous = timestamp
        return found

    def _time_of_set(self, timestamp: int) -> int:
        between = (self._previous + timestamp) // 2
        return {"own": timestamp, "previous": self._previous, "between": between}[self._habits.sets_time]

    def _is_marked(self, unit: bytes, is_last: bool) -> bool:
        marker = self._habits.marker
        is_set = _is_set(self._codec, unit)
        return marker == "each" or (marker != "none" and is_last) or (marker == "sets" and is_set)

    def _payloads(self, unit: bytes) -> Iterator[bytes]:
        data, kind = unit, _kind(self._codec, unit)
        if self._habits.packing == "prefixed":
            yield START + unit
            return
        if self._habits.packing == "typeless" and self._codec == "H264":
            data, kind = b"\0" + START[1:] + unit, 0
        elif len(unit) <= self._habits.mtu:
            yield unit
            return
        size = 1 if self._codec == "H264" else 2
        head = bytes([data[0] & 0xE0 | 28]) if size == 1 else bytes([data[0] & 0x81 | 49 << 1, data[1]])
        parts = [data[at : at + self._habits.mtu] for at in range(size, len(data), self._habits.mtu)]
        for number, part in enumerate(parts):
            flags = (0x80 if number == 0 else 0) | (0x40 if number == len(parts) - 1 else 0)
            yield head + bytes([flags | kind]) + part

    def _packet(self, payload: bytes, timestamp: int, *, marker: bool) -> bytes:
        head = bytes([0x80, 96 | marker << 7]) + (self._sequence & 0xFFFF).to_bytes(2, "big")
        self._sequence += 1
        return head + (timestamp & 0xFFFF_FFFF).to_bytes(4, "big") + b"\0\0\0\1" + payload
