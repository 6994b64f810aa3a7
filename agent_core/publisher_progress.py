"""What publishers say of themselves: FFmpeg's `-progress`, on a unix socket for each camera.

It is the same whoever runs the publisher, and the only place where its frames are counted: the media server counts
bytes and packets.
"""

import logging
import os
import re
import socket
from functools import partial
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.clock import Clock
from agent_core.listening import accept_clients
from agent_core.models import CameraId

__all__ = ("PERIOD_S", "PublisherProgress")

_log = logging.getLogger("camera_agent.publisher")

#: Between two reports of a publisher.
PERIOD_S = 2
#: A report has about 200 bytes.
_READ_LIMIT_BYTES = 4096
_FRAMES = re.compile(rb"^frame= *(\d+)$", re.MULTILINE)


class PublisherProgress:
    """`run` owns the sockets; where it does not run there are none.

    Args:
        folder: for the sockets; they belong to the agent's group, which the media server's account shares.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._paths: dict[CameraId, Path | None] = {}
        #: Of the publisher that connected last, by what is new with each.
        self._frames: dict[CameraId, tuple[object, int]] = {}
        self._tg: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; then the sockets are removed."""
        try:
            async with anyio.create_task_group() as tg:
                self._tg = tg
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tg = None
            for path in self._paths.values():
                if path is not None:
                    path.unlink(missing_ok=True)
            self._paths.clear()

    def frames(self, camera: CameraId) -> int | None:
        """How many frames the camera's publisher had sent at its last report; None while none reports."""
        found = self._frames.get(camera)
        return found[1] if found else None

    def words(self, camera: CameraId) -> tuple[str, ...]:
        """What makes an FFmpeg report, for before its last word; empty where no socket can be made."""
        if self._tg is None:
            return ()
        if camera not in self._paths:
            self._paths[camera] = self._listen(self._tg, camera)
        path = self._paths[camera]
        return ("-stats_period", str(PERIOD_S), "-progress", f"unix:{path}") if path else ()

    def _listen(self, tg: TaskGroup, camera: CameraId) -> Path | None:
        path = self._folder / f"{camera}.progress.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            listener.bind(os.fspath(path))
            path.chmod(0o660)
            listener.listen()
        except OSError as error:  # too long a name, most likely; a number that nobody gets costs no stream
            listener.close()
            _log.warning(
                "publishers cannot report their progress: %s", error.strerror or "the name is too long"
            )
            return None
        listener.setblocking(False)  # noqa: FBT003 - the standard library's
        tg.start_soon(self._accept, listener, camera, tg)
        return path

    async def _accept(self, listener: socket.socket, camera: CameraId, tg: TaskGroup) -> None:
        with listener:
            follow = partial(self._follow, camera=camera)
            await accept_clients(listener, follow, tasks=tg, clock=self._clock)

    async def _follow(self, publisher: socket.socket, camera: CameraId) -> None:
        """Until it ends; one that ends after its successor has connected takes nothing away from that."""
        me = object()
        self._frames[camera] = (me, 0)
        try:
            with publisher:
                await self._read(publisher, camera, me)
        finally:
            if self._is_last(camera, me):
                del self._frames[camera]

    def _is_last(self, camera: CameraId, me: object) -> bool:
        """Whether nobody has connected after `me`; where a successor has come and gone there is nobody."""
        found = self._frames.get(camera)
        return found is not None and found[0] is me

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
                self._frames[camera] = (me, int(counts[-1]))
