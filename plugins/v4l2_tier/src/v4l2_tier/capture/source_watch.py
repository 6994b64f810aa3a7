"""Watch over the source of a running stream: changes that the driver tells, and a loss of the signal."""

from typing import Protocol

import anyio

from agent_core.plugin import CaptureFailed, Clock, WorkerPool
from v4l2_tier.device.errors import no_signal

__all__ = ("SourceWatch", "WatchedSource")

#: Pause between looks for events of the source, which anyio cannot wait for, and for its signal.
_PAUSE_S = 1.0
#: Looks without a signal until it counts as lost: an analog one is often missing for a moment, as when a recorder winds.
_LOOKS = 3


class WatchedSource(Protocol):
    """Part of `CaptureDevice` that the watch needs."""

    @property
    def tells_source(self) -> bool: ...

    def source_changed(self) -> bool: ...

    def signal_fault(self, index: int) -> str: ...


class SourceWatch:
    """Watch of one stream.

    Args:
        device: the streaming device; the watch ends before it is closed.
        input_index: input whose signal is watched, None for none.
        clock: times the looks.
        threads: the device's own; asking for a signal takes a USB bridge milliseconds.
    """

    def __init__(
        self, device: WatchedSource, input_index: int | None, *, clock: Clock, threads: WorkerPool
    ) -> None:
        self._device = device
        self._input_index = input_index
        self._clock = clock
        self._threads = threads
        self._looks = 0

    async def until_other(self) -> CaptureFailed:
        """Return the error that ends the stream: `source_changed`, `no_signal`, or that of a device that fails."""
        device = self._device
        try:
            if device.tells_source:
                device.source_changed()  # what came before the start is in the agreed format
            elif self._input_index is None:
                await anyio.sleep_forever()
            while True:
                await self._clock.sleep(_PAUSE_S)
                if device.tells_source and device.source_changed():
                    return CaptureFailed(
                        "The source of the camera's picture has changed.", reason="source_changed"
                    )
                if fault := await self._lasting_fault():
                    return no_signal(fault)
        except CaptureFailed as error:
            return error

    async def _lasting_fault(self) -> str:
        if self._input_index is None:
            return ""
        fault = await self._threads.run(self._device.signal_fault, self._input_index)
        self._looks = self._looks + 1 if fault else 0
        return fault if self._looks >= _LOOKS else ""
