"""Contents of files, as PyAV finds them: packets, and the flashes and beeps that it decodes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

__all__ = ("beeps", "flashes", "packets", "times_of")


def packets(file: Path, kind: str) -> "list[av.Packet[Any]]":
    """Return the packets of the only stream of a kind: `video`, `audio` or `data`."""
    with av.open(file) as container:
        (stream,) = (one for one in container.streams if one.type == kind)
        return [packet for packet in container.demux(stream) if packet.size]


def times_of(packet: "av.Packet[Any]") -> tuple[float, float]:
    """Return the decoding and the presentation time (s)."""
    assert packet.pts is not None
    assert packet.dts is not None
    return float(packet.dts * packet.time_base), float(packet.pts * packet.time_base)


def flashes(file: Path) -> list[float]:
    """Return the times (s) at which the picture becomes white."""
    return list(_risen(_brightness(file), 128))


def beeps(file: Path) -> list[float]:
    """Return the times (s) at which the sound begins after a silence."""
    return list(_risen(_loudness(file), 0.05))


def _brightness(file: Path) -> Iterator[tuple[float, float]]:
    with av.open(file) as container:
        for frame in container.decode(video=0):
            assert frame.time is not None
            yield frame.time, float(frame.to_ndarray(format="gray").mean())


def _loudness(file: Path) -> Iterator[tuple[float, float]]:
    """Yield time and loudness of pieces of 10 ms."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(file) as container:
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                assert piece.time is not None
                samples = piece.to_ndarray()[0]
                for at in range(0, len(samples) - 159, 160):
                    part = samples[at : at + 160]
                    yield piece.time + at / 16_000, float(np.sqrt((part**2).mean()))


def _risen(values: Iterator[tuple[float, float]], threshold: float) -> Iterator[float]:
    is_high, low_since = True, None
    for time_s, value in values:
        if value < threshold:
            low_since = time_s if low_since is None else low_since
            is_high = is_high and time_s - low_since < 0.1
        else:
            if not is_high:
                yield time_s
            is_high, low_since = True, None
