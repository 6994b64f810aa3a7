"""Unix socket behind a `FrameSocket`. It sends each client the newest frames, always whole, as Matroska."""

import os
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import CaptureFailed, StartFailed
from agent_core.base.files import explain_os_error
from agent_core.base.listening import accept_clients
from agent_core.base.models import Frame
from agent_core.base.socket_place import SocketPlace
from agent_core.base.waiting import first_of
from agent_core.plugin.frames.broker import FrameBroker
from agent_core.plugin.frames.groups import CodedFrame
from agent_core.plugin.frames.matroska import START, MatroskaWriter
from agent_core.plugin.frames.timeline import squeezed

__all__ = ("FrameServer",)

#: sockaddr_un has room for 108 bytes, including the final zero (unix(7)).
_ADDRESS_LIMIT_BYTES = 107
#: Unread bytes that the kernel may hold per client. Its default, 208 KiB, could be seconds of small frames.
_UNREAD_LIMIT_BYTES = 32 << 10
#: Rate that FFmpeg assumes for JPEGs of an unknown rate.
_USUAL_FPS = 25.0


class FrameServer:
    """Server of one broker's frames on the unix socket `path`, active while `run` runs.

    Each client gets a Matroska stream of its own (`agent_core.plugin.frames.matroska`), whose times are the frames'
    capture times: the wall clock, which may be set, has no part in them.

    A connected client counts as demand, so the producer runs. A client that reads slowly gets fewer frames, not older
    ones. When the producer fails or hangs, the server closes all clients, because FFmpeg would wait for seconds on a
    silent socket. It also closes them when the size of the frames changes, because a stream has one size.

    Of coded video a client gets at once what it needs to decode the newest picture, the group of pictures up to it, at
    times right before that of the newest. A slow client continues at a later key frame, without a gap inside a group. A
    change of the parameter sets closes all clients.

    Args:
        broker: source of the frames.
        path: path of the socket.
        clock: the agent's clock.
        fps: nominal frames per second, as in the camera's `FrameSocket`. Encoders plan with it; it changes no time.

    Raises:
        ValueError: `fps` is not above 0.
    """

    def __init__(self, broker: FrameBroker, path: Path, *, clock: Clock, fps: float = _USUAL_FPS) -> None:
        if not fps > 0:
            raise ValueError(f"the rate of a frame socket must be above 0, not {fps}")
        self._broker = broker
        self._path = path
        self._clock = clock
        self._fps = fps

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled, then remove the socket. The socket belongs to the agent's group.

        If the socket or its folder is deleted, the server makes it again within a few seconds.

        Raises:
            StartFailed: the path is too long for a unix socket.
            StorageFailed: the socket cannot be made, or made again.
        """
        if len(os.fsencode(self._path)) > _ADDRESS_LIMIT_BYTES:
            raise StartFailed(
                "The path of the folder for sockets is too long.",
                reason="socket_path_too_long",
                suggestion="Set storage.runtime_dir to a short path.",
            )
        place = SocketPlace(self._path, clock=self._clock)
        try:
            async with anyio.create_task_group() as clients:
                listener = self._listen(place)
                task_status.started()
                while True:
                    await self._accept(listener, place, clients)
                    listener = self._listen(place)
        finally:
            place.release()

    def _listen(self, place: SocketPlace) -> socket.socket:
        try:
            return place.listen()
        except OSError as error:
            raise explain_os_error(error, "make the socket for the camera's pictures") from error

    async def _accept(self, listener: socket.socket, place: SocketPlace, clients: TaskGroup) -> None:
        """Accept clients until the socket's name is gone. Connected clients stay connected."""
        with listener:
            accept = partial(accept_clients, listener, self._serve, tasks=clients, clock=self._clock)
            await first_of(accept, place.wait_lost)

    # Plain sockets rather than anyio's streams, for the reason given in `agent_core.base.listening`.

    async def _serve(self, client: socket.socket) -> None:
        """Send frames until the client leaves, the producer fails or the frames' size changes.

        A client only reads: any input ends it.
        """
        with client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_LIMIT_BYTES)
            await first_of(
                partial(self._send_frames, client), self._broker.failed, partial(anyio.wait_readable, client)
            )

    async def _send_frames(self, client: socket.socket) -> None:
        with self._broker.demand(), suppress(CaptureFailed, OSError):
            connected_s = self._clock.monotonic_s()
            await _send_all(client, START)
            stream = MatroskaWriter(self._fps, self._broker.codec)
            sent = await self._send_beginning(client, stream, connected_s)
            while _continues(sent, frame := await self._broker.after(sent.sequence)):
                await _send_all(client, stream.before_frame(frame))
                await _send_all(client, frame.data)
                sent = frame

    async def _send_beginning(
        self, client: socket.socket, stream: MatroskaWriter, connected_s: float
    ) -> Frame:
        """Send the frames with which the stream begins; return the last. Only here are they kept for the client."""
        frames = await self._broker.beginning(connected_s)
        await _send_all(client, stream.track(frames[0]))
        for frame, shown_s in zip(frames, squeezed([each.captured_s for each in frames]), strict=True):
            await _send_all(client, stream.before_frame(frame, shown_s))
            await _send_all(client, frame.data)
        return frames[-1]


def _continues(sent: Frame, frame: Frame) -> bool:
    """Return True if `frame` can follow `sent` in a stream."""
    if isinstance(sent, CodedFrame) and isinstance(frame, CodedFrame):
        return frame.configuration == sent.configuration
    return (frame.width, frame.height) == (sent.width, sent.height)


async def _send_all(client: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(client)
