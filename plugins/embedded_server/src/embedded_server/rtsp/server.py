"""RTSP listener and its connections."""

from functools import partial

from anyio import TASK_STATUS_IGNORED
from anyio.abc import Listener, SocketStream, TaskStatus

from embedded_server.connections.places import Place, Places, accept_all
from embedded_server.context import ServerContext
from embedded_server.paths.paths import Paths
from embedded_server.rtsp.connection import RtspConnection
from embedded_server.rtsp.session import RtspSession

__all__ = ("RtspServer",)

#: Concurrent connections of other accounts and hosts, and of each of them.
_MAX_CONNECTIONS, _MAX_OF_ONE_PEER = 128, 64


class RtspServer:
    """Server of RTSP over TCP; it never sends by UDP."""

    def __init__(self, listener: Listener[SocketStream], paths: Paths, context: ServerContext) -> None:
        self._listener = listener
        self._paths = paths
        self._context = context
        self._connections: dict[str, RtspConnection] = {}

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, which ends the connections."""
        task_status.started()
        await accept_all(self._listener, Places(_MAX_CONNECTIONS, _MAX_OF_ONE_PEER), self._serve)

    async def _serve(self, stream: SocketStream, place: Place) -> None:
        await self._context.guarded(partial(self._converse, stream, place))

    async def _converse(self, stream: SocketStream, place: Place) -> None:
        connection = RtspConnection(stream, self._paths, self._context, place)
        self._connections[connection.id] = connection
        try:
            await connection.run()
        finally:
            del self._connections[connection.id]

    @property
    def connections(self) -> tuple[RtspConnection, ...]:
        """Connections, oldest first."""
        return tuple(self._connections.values())

    @property
    def sessions(self) -> tuple[RtspSession, ...]:
        """Sessions, oldest first."""
        return tuple(sorted(self._sessions(), key=lambda session: session.created))

    def _sessions(self) -> list[RtspSession]:
        return [one.session for one in self._connections.values() if one.session is not None]

    def close_all(self) -> None:
        for connection in self.connections:
            connection.close()
