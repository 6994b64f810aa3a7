"""Delivery of filled buffers to the broker as JPEG frames."""

import logging
from collections.abc import Iterable
from typing import Protocol

from agent_core.plugin import CaptureFailed, Clock, WorkerPool, jpeg
from agent_core.plugin.frames import FrameSink
from v4l2_tier.capture.encode import encode
from v4l2_tier.capture.exposure import ExposureClock
from v4l2_tier.capture.limits import Silence
from v4l2_tier.device.capture_device import FilledBuffer, PictureLayout
from v4l2_tier.device.modes import JPEG_FORMATS

__all__ = ("Delivery", "FilledBuffers")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: V4L2_BUF_FLAG_ERROR: the driver reports damaged data.
_FLAG_ERROR = 0x40
_SEQUENCES = 2**32
#: Extra wait before a silent camera is reported, in case this process was the one delayed.
_GRACE_S = 0.1


class FilledBuffers(Protocol):
    """Part of `CaptureDevice` that delivery needs."""

    def ready(self) -> Iterable[FilledBuffer]: ...

    def copy(self, buffer: FilledBuffer) -> bytes: ...

    def give_back(self, index: int) -> None: ...


class Delivery:
    """The frames of one stream, started at `started_s` (monotonic).

    All JPEG frames are offered, oldest first, so that the ring ends with the newest good one. Raw frames cost an
    encoder: only the newest of those that are ready is encoded.
    """

    def __init__(
        self,
        device: FilledBuffers,
        layout: PictureLayout,
        sink: FrameSink,
        *,
        clock: Clock,
        threads: WorkerPool,
        exposure: ExposureClock,
        quality: int,
        settle_s: float,
        started_s: float,
    ) -> None:
        self._device = device
        self._layout = layout
        self._sink = sink
        self._clock = clock
        self._threads = threads
        self._exposure = exposure
        self._quality = quality
        self._settle_s = settle_s
        self._settled_at_s: float | None = None
        self._last_good_s = started_s
        self._good = self._bad = 0
        self._next_sequence: int | None = None

    async def deliver_ready(self) -> bool:
        """Deliver the buffers that are ready; return False if there were none."""
        if self._layout.code in JPEG_FORMATS:
            return self._deliver_jpegs()
        return await self._deliver_raw()

    def _deliver_jpegs(self) -> bool:
        any_ready = False
        for buffer in self._device.ready():
            any_ready = True
            if self._is_usable(buffer, 1):
                captured_s, data = self._exposed_s(buffer), self._device.copy(buffer)
                self._device.give_back(buffer.index)
                self._offer(jpeg.with_huffman_tables(data), captured_s)
        return any_ready

    async def _deliver_raw(self) -> bool:
        newest: FilledBuffer | None = None
        any_ready = False
        for buffer in self._device.ready():
            any_ready = True
            if self._is_usable(buffer, self._layout.raw.size_bytes):
                if newest is not None:
                    self._sink.skip("superseded")
                    self._device.give_back(newest.index)
                newest = buffer
        if newest is not None:
            captured_s, data = self._exposed_s(newest), self._device.copy(newest)
            self._device.give_back(newest.index)
            self._offer(await self._encoded(data), captured_s)
        return any_ready

    async def _encoded(self, data: bytes) -> bytes:
        return await self._threads.run(encode, data, self._layout.raw, self._quality)

    def _is_usable(self, buffer: FilledBuffer, least_bytes: int) -> bool:
        """Return whether `buffer` contains a frame; if not, count it and give it back."""
        self._count_lost(buffer.sequence)
        reason = _fault(buffer, least_bytes)
        if reason is None:
            return True
        self._bad += 1
        self._sink.drop(reason)
        self._device.give_back(buffer.index)
        return False

    def _count_lost(self, sequence: int) -> None:
        """Count the gap before `sequence`: frames without a free buffer, or lost on the bus."""
        if self._next_sequence is not None:
            lost = (sequence - self._next_sequence) % _SEQUENCES
            if 0 < lost < _SEQUENCES // 2:
                self._sink.skip("lost", lost)
        self._next_sequence = (sequence + 1) % _SEQUENCES

    def _exposed_s(self, buffer: FilledBuffer) -> float | None:
        return self._exposure.exposed_s(buffer.stamp_s, buffer.flags, self._clock.monotonic_s())

    def _offer(self, data: bytes, captured_s: float | None) -> None:
        now_s = self._clock.monotonic_s()
        self._good += 1
        self._bad = 0
        self._last_good_s = now_s
        if self._settled_at_s is None:
            self._settled_at_s = now_s + self._settle_s
        self._sink.offer(data, captured_s=captured_s, settled=now_s >= self._settled_at_s)

    async def until_silent(self, silence: Silence, first_s: float) -> CaptureFailed:
        """Return the error once no usable frame has come for too long; the first may take `first_s` (seconds)."""
        expired = False
        while True:
            limit_s = silence.between_s if self._good else first_s
            left_s = self._last_good_s + limit_s - self._clock.monotonic_s()
            if left_s > 0:
                expired = False
            elif expired:
                return self._stalled(limit_s)
            else:  # this process may have been delayed, with frames waiting
                expired, left_s = True, _GRACE_S
            # The limit becomes shorter if the first frame comes during the sleep.
            await self._clock.sleep(min(left_s, silence.between_s))

    def _stalled(self, limit_s: float) -> CaptureFailed:
        if self._bad:
            return CaptureFailed(
                f"The camera delivered only damaged pictures for {limit_s:g} s.",
                reason="frames_damaged",
                suggestion="Check the camera's cable and hub, or choose a smaller size or a lower frame rate.",
            )
        return CaptureFailed(f"The camera delivered no picture for {limit_s:g} s.", reason="camera_stalled")


def _fault(buffer: FilledBuffer, least_bytes: int) -> str | None:
    if buffer.flags & _FLAG_ERROR:
        return "device_error"
    if buffer.size_bytes == 0:
        return "empty"
    return "short" if buffer.size_bytes < least_bytes else None
