"""Delivery of filled buffers to the broker as JPEG frames, or as access units of coded video."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from agent_core.plugin import CaptureFailed, Clock, WorkerPool, jpeg
from agent_core.plugin.frames import ExposureSettling, FrameSink, measure
from v4l2_tier.capture.damage import Damage
from v4l2_tier.capture.exposure import ExposureClock
from v4l2_tier.capture.jpegs import JpegReader
from v4l2_tier.capture.limits import Silence
from v4l2_tier.capture.raw_encoder import RawEncoder
from v4l2_tier.device.capture_device import FilledBuffer, PictureLayout
from v4l2_tier.device.modes import CODED_FORMATS, JPEG_FORMATS

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
    encoder: only the newest of those that are ready is encoded. Coded video is offered as it comes; the sink is told of
    gaps, after which only a key frame can be decoded.

    Args:
        device: the buffers of the stream.
        layout: format of the stream.
        sink: receives the frames.
        clock: the monotonic clock.
        threads: runs what takes a millisecond or more: decoding and encoding.
        exposure: calculates the capture times.
        encoder: encodes raw frames.
        settling: decides when the exposure has settled.
        started_s: monotonic time of the start of the stream.
        reader: finds the pictures in JPEG buffers.
        damage: counts damaged frames.
        on_gap: called when an access unit of coded video is missing or damaged.
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
        encoder: RawEncoder,
        settling: ExposureSettling,
        started_s: float,
        reader: JpegReader | None = None,
        damage: Damage | None = None,
        on_gap: Callable[[], object] = lambda: None,
    ) -> None:
        self._device = device
        self._layout = layout
        self._sink = sink
        self._clock = clock
        self._threads = threads
        self._exposure = exposure
        self._encoder = encoder
        self._reader = reader or JpegReader(threads)
        self._damage = damage or Damage(layout.code)
        self._settling = settling
        self._on_gap = on_gap
        self._is_coded = layout.code in CODED_FORMATS
        self._started_s = self._last_good_s = started_s
        self._good = 0
        self._next_sequence: int | None = None

    @property
    def has_delivered(self) -> bool:
        """True once a whole frame was delivered."""
        return self._good > 0

    async def deliver_ready(self) -> bool:
        """Deliver the buffers that are ready; return False if there were none."""
        if self._is_coded:
            return await self._deliver_units()
        if self._layout.code in JPEG_FORMATS:
            return await self._deliver_jpegs()
        return await self._deliver_raw()

    async def _deliver_jpegs(self) -> bool:
        any_ready = False
        for buffer in self._device.ready():
            any_ready = True
            if self._is_usable(buffer, 1):
                captured_s, data = self._exposed_s(buffer), self._device.copy(buffer)
                self._device.give_back(buffer.index)
                await self._deliver_jpeg(data, captured_s)
        return any_ready

    async def _deliver_jpeg(self, data: bytes, captured_s: float | None) -> None:
        try:
            whole = await self._reader.read(data)
        except jpeg.JpegError as error:
            self._sink.drop("damaged")
            self._damage.note_unreadable(str(error))
            self._judge_damage()
        else:
            await self._offer(whole, captured_s)

    def _judge_damage(self) -> None:
        """Raise JpegsDamaged if most frames are damaged and the format may be changed; else let the log tell it once."""
        if not self._damage.prevails(self._clock.monotonic_s() - self._started_s):
            return
        if self._damage.can_change:
            raise self._damage.mostly_damaged()
        if advice := self._damage.advice_once():
            _log.warning("%s: %s", self._reader.name, advice)

    async def _deliver_units(self) -> bool:
        any_ready = False
        for buffer in self._device.ready():
            any_ready = True
            if self._is_usable(buffer, 1):
                captured_s, unit = self._exposed_s(buffer), self._device.copy(buffer)
                self._device.give_back(buffer.index)
                await self._offer(unit, captured_s)
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
            await self._offer(await self._encoded(data), captured_s)
        return any_ready

    async def _encoded(self, data: bytes) -> bytes:
        return await self._threads.run(self._encoder.encode, data, self._layout.raw)

    def _is_usable(self, buffer: FilledBuffer, least_bytes: int) -> bool:
        """Return whether `buffer` contains a frame; if not, count it and give it back."""
        self._count_lost(buffer.sequence)
        reason = _fault(buffer, least_bytes)
        if reason is None:
            return True
        self._damage.note_bad(reason)
        self._sink.drop(reason)
        if reason == "device_error":
            self._note_gap()
        self._device.give_back(buffer.index)
        return False

    def _count_lost(self, sequence: int) -> None:
        """Count the gap before `sequence`: frames without a free buffer, or lost on the bus."""
        if self._next_sequence is not None:
            lost = (sequence - self._next_sequence) % _SEQUENCES
            if 0 < lost < _SEQUENCES // 2:
                self._sink.skip("lost", lost)
                self._note_gap()
        self._next_sequence = (sequence + 1) % _SEQUENCES

    def _note_gap(self) -> None:
        if self._is_coded:
            self._sink.gap()
            self._on_gap()

    def _exposed_s(self, buffer: FilledBuffer) -> float | None:
        return self._exposure.exposed_s(buffer.stamp_s, buffer.flags, self._clock.monotonic_s())

    async def _offer(self, picture: bytes | jpeg.WholeJpeg, captured_s: float | None) -> None:
        now_s = self._clock.monotonic_s()
        self._good += 1
        self._damage.note_good()
        self._last_good_s = now_s
        settling = self._settling
        if settling.needs_brightness:
            data = picture if isinstance(picture, bytes) else picture.data
            settling.note(now_s, await self._threads.run(measure, data))
        else:
            settling.note(now_s)
        self._sink.offer(
            picture, captured_s=captured_s, settled=settling.is_settled, settlement=settling.settlement
        )

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
        if self._damage.count:
            return self._damage.only_damaged(limit_s)
        return CaptureFailed(
            f"The camera delivered no picture for {round(limit_s, 1):g} s.", reason="camera_stalled"
        )


def _fault(buffer: FilledBuffer, least_bytes: int) -> str | None:
    if buffer.flags & _FLAG_ERROR:
        return "device_error"
    if buffer.size_bytes == 0:
        return "empty"
    return "short" if buffer.size_bytes < least_bytes else None
