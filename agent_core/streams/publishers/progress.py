"""Progress of publishers: FFmpeg's `-progress` reports, received on one unix socket per camera.

The agent and the media server start publishers with the same arguments. Only these reports count frames: the media
server counts bytes and packets.
"""

import logging
import re
import socket
import struct
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.listening import accept_clients
from agent_core.base.models import CameraId
from agent_core.base.socket_place import SocketPlace
from agent_core.base.tasks import OwnedTasks
from agent_core.base.waiting import first_of
from agent_core.streams.publishers.runner import PublisherProcess

__all__ = ("PERIOD_S", "PublisherProgress")

_log = logging.getLogger("camera_agent.publisher")

#: Seconds between two reports of a publisher.
PERIOD_S = 2
#: A report has about 200 bytes.
_READ_LIMIT_BYTES = 4096
#: Process, user and group of a unix socket's other end, unix(7).
_CREDENTIALS = struct.Struct("iII")
_FRAMES = re.compile(rb"^frame= {0,20}([0-9]{1,19})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Report:
    """Last report on the connection that `connection` identifies.

    `pid` is None for a process that this one cannot see, such as one in the container of a media server.
    """

    connection: object
    pid: int | None
    connected_s: float
    frames: int = 0


class PublisherProgress:
    """Receives publishers' reports. `run` owns the sockets and removes them at its end.

    Args:
        folder: for the sockets; they belong to the agent's group, which the media server's account shares.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._places: dict[CameraId, SocketPlace] = {}
        self._has_complained = False
        #: From the publisher that connected last.
        self._reports: dict[CameraId, _Report] = {}
        self._tasks = OwnedTasks()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; then remove the sockets."""
        try:
            async with self._tasks.open():
                task_status.started()
                await anyio.sleep_forever()
        finally:
            for place in self._places.values():
                place.release()
            self._places.clear()

    def frames(self, camera: CameraId) -> int | None:
        """Return the frames that the camera's publisher had sent at its last report; None without reports."""
        found = self._reports.get(camera)
        return found.frames if found else None

    def process(self, camera: CameraId) -> PublisherProcess | None:
        """Return the program that reports for the camera now; None if none does, or none that this host can name."""
        found = self._reports.get(camera)
        if found is None or found.pid is None:
            return None
        return PublisherProcess(found.pid, found.connected_s)

    def reporting_arguments(self, camera: CameraId) -> tuple[str, ...]:
        """Return the arguments, before FFmpeg's output, that make it report; empty if there is no socket."""
        if not self._tasks.is_open:
            return ()
        path = self._folder / f"{camera}.progress.sock"
        if camera not in self._places and not self._start(camera, path):
            return ()
        return ("-stats_period", str(PERIOD_S), "-progress", f"unix:{path}")

    def _start(self, camera: CameraId, path: Path) -> bool:
        place = SocketPlace(path, clock=self._clock)
        listener = self._listen(place)
        if listener is None:
            return False
        self._places[camera] = place
        self._tasks.start_soon(self._serve, listener, place, camera)
        return True

    def _listen(self, place: SocketPlace) -> socket.socket | None:
        try:
            return place.listen()
        except OSError as error:  # most likely too long a name; the stream works without a frame count
            if not self._has_complained:
                self._has_complained = True
                _log.warning(
                    "publishers cannot report their progress: %s", error.strerror or "the name is too long"
                )
            return None

    async def _serve(self, listener: socket.socket | None, place: SocketPlace, camera: CameraId) -> None:
        """Accept publishers until cancelled, or until a socket that was removed cannot be made again."""
        follow = partial(self._follow, camera=camera)
        async with anyio.create_task_group() as publishers:
            while listener is not None:
                with listener:
                    accept = partial(accept_clients, listener, follow, tasks=publishers, clock=self._clock)
                    await first_of(accept, place.wait_lost)
                listener = self._listen(place)
            self._places.pop(camera, None)  # a publisher that starts later tries again

    async def _follow(self, publisher: socket.socket, camera: CameraId) -> None:
        """Read reports until the publisher ends; its end leaves the count of a successor alone."""
        me = object()
        self._reports[camera] = _Report(me, _peer_pid(publisher), self._clock.monotonic_s())
        try:
            with publisher:
                await self._read(publisher, camera, me)
        finally:
            if self._is_last(camera, me):
                del self._reports[camera]

    def _is_last(self, camera: CameraId, me: object) -> bool:
        """Return True unless another publisher has connected after `me`, even if it has ended since."""
        found = self._reports.get(camera)
        return found is not None and found.connection is me

    async def _read(self, publisher: socket.socket, camera: CameraId, me: object) -> None:
        text = b""
        while True:
            await anyio.wait_readable(publisher)
            try:
                received = publisher.recv(_READ_LIMIT_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not received:
                return
            *whole, text = (text + received).rsplit(b"\n", 1)
            text = text[-_READ_LIMIT_BYTES:]
            counts = _FRAMES.findall(whole[0]) if whole else ()
            if counts and self._is_last(camera, me):
                self._reports[camera] = replace(self._reports[camera], frames=int(counts[-1]))


def _peer_pid(publisher: socket.socket) -> int | None:
    """Return the process that connected; None if it is outside this process's PID namespace."""
    credentials = publisher.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return pid or None
