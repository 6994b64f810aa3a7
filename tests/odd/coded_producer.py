"""Producer of numbered pictures of H.264 or H.265, for the real broker and frame socket."""

import io
import time
from dataclasses import dataclass, field
from functools import cache

import anyio
import av

from agent_core.plugin.frames import FrameProducer, FrameSink
from tests.odd.coded_camera import Coded, bars, encoder

__all__ = ("NumberedProducer", "access_units")


@cache
def access_units(
    codec: str = "h264", *, size: tuple[int, int] = (288, 96), group: int = 8, pictures: int = 80
) -> tuple[Coded, ...]:
    """Encode pictures that show their numbers, as access units with start codes."""
    with av.open(io.BytesIO(), "w", format="hevc" if codec == "h265" else codec) as output:
        stream = encoder(output, codec, size, group)
        packets = []
        for number in range(pictures):
            frame = bars(number, size)
            frame.pts = number
            packets += stream.encode(frame)
        packets += stream.encode(None)
        return tuple(Coded(bytes(each), each.is_keyframe, number) for number, each in enumerate(packets))


@dataclass
class NumberedProducer(FrameProducer):
    """Camera that repeats `units`, `fps` of them per second, from the first one on with each start.

    Attributes:
        exposed_s: latest exposure of the picture of each number, monotonic.
        settles_after: pictures after a start from which the exposure is settled.
        skips: pictures of each start that are not sent.
        has_device_times: the producer tells the exposures.
        is_silent: nothing is sent.
        losses: pictures that are lost next, as the producer notices.
        clock_ahead_s: difference of the device's clock, at most 0: the broker takes no time from the future.
    """

    units: tuple[Coded, ...]
    fps: float = 25.0
    settles_after: int = 0
    skips: int = 0
    has_device_times: bool = True
    is_silent: bool = False
    losses: int = 0
    clock_ahead_s: float = 0.0
    starts: int = 0
    exposed_s: dict[int, float] = field(default_factory=dict)

    async def stream(self, sink: FrameSink) -> None:
        self.starts += 1
        start_s = time.monotonic()
        number = 0
        while True:
            await anyio.sleep(max(0.0, start_s + (number + 1) / self.fps - time.monotonic()))
            unit, exposed_s = self.units[number % len(self.units)], start_s + number / self.fps
            self.exposed_s[unit.shown] = exposed_s
            if self.losses:
                self.losses -= 1
                sink.gap()
            elif number >= self.skips and not self.is_silent:
                captured_s = exposed_s + self.clock_ahead_s if self.has_device_times else None
                sink.offer(unit.data, captured_s=captured_s, settled=number >= self.settles_after)
            number += 1
