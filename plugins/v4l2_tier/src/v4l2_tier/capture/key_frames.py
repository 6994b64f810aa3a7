"""Requests of key frames from a camera's encoder. Apart from the producer, so that it does not know which drivers take them."""

import logging
from collections.abc import Iterable

import anyio

from agent_core.plugin import CaptureFailed, Clock, WorkerPool
from v4l2_tier.device.capabilities import DeviceControl
from v4l2_tier.device.controls import ControlDevice

__all__ = ("KeyFrameRequests",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, a button.
_FORCE_KEY_FRAME = 0x009909E5
#: Shortest time between two requests: key frames are large.
_PAUSE_S = 1.0


class KeyFrameRequests:
    """Requests of one camera; without effect if its driver has no control for them, or refuses it.

    Args:
        controls: the camera's controls.
        clock: times the requests.
        threads: the device's own.
        name: the camera's, for the log.
    """

    def __init__(
        self, controls: Iterable[DeviceControl], *, clock: Clock, threads: WorkerPool, name: str
    ) -> None:
        usable = (each for each in controls if not (each.disabled or each.read_only or each.unsettable))
        self._control = next((each for each in usable if each.id == _FORCE_KEY_FRAME), None)
        self._clock = clock
        self._threads = threads
        self._name = name
        self._wanted = anyio.Event()

    def want(self) -> None:
        """Ask for a key frame as soon as the camera streams and the last request is old enough."""
        self._wanted.set()

    async def run(self, device: ControlDevice) -> None:
        """Serve the requests during a stream of `device`, until cancelled."""
        while self._control is not None:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            try:
                await self._threads.run(device.write_control, self._control, 1)
            except CaptureFailed as error:  # the camera works without
                _log.info("%s sends no key frame on demand: %s", self._name, error.details)
                self._control = None
            await self._clock.sleep(_PAUSE_S)
        await anyio.sleep_forever()
