"""The embedded media server as one component."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup, TaskStatus

from agent_core.plugin import Clock, MediaServer, StartFailed
from embedded_server.context import Surroundings
from embedded_server.faults import Faults
from embedded_server.settings import EmbeddedServerSettings

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials
    from embedded_server.config.configuration import Configuration
    from embedded_server.config.gotext import Json

__all__ = ("EmbeddedServer", "Endpoints", "serving")

_log = logging.getLogger("camera_agent.embedded_server")

#: The agent's own account; its password is made anew for each agent and kept in memory only.
_AGENT = "camera-agent"
_RECORD_PATH = "%path/%Y-%m-%d_%H-%M-%S-%f"
#: A change of these makes the path manager and the API's listener anew: every stream and connection ends.
_RESTARTING = frozenset(
    (
        "logLevel",
        "logDestinations",
        "logFile",
        "logStructured",
        "sysLogPrefix",
        "readTimeout",
        "writeTimeout",
        "writeQueueSize",
        "udpReadBufferSize",
        "udpMaxPayloadSize",
        "rtspEncryption",
        "rtspAuthMethods",
        "dumpPackets",
        "authMethod",
    )
)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the server listens. `credentials` are the agent's own, for the API and for reading."""

    host: str
    api_port: int
    rtsp_port: int
    credentials: "Credentials"

    @property
    def api_url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.host}:{self.api_port}"

    @property
    def rtsp_url(self) -> str:
        """Without a slash at the end."""
        return f"rtsp://{self.host}:{self.rtsp_port}"


class EmbeddedServer(MediaServer):
    """A media server that speaks MediaMTX's API v3. What it is told is forgotten when `run` ends.

    A free port that it took is its port from then on, however often it is run: clients have addresses with it.

    Args:
        recordings: the folder below which recordings are written; besides it the folder of `settings.record_path`.
        credentials: the agent's own account for the API; made anew by default.

    Attributes:
        faults: switches that make it misbehave, for tests.
    """

    name = "embedded_server"

    def __init__(
        self,
        settings: EmbeddedServerSettings,
        clock: Clock,
        *,
        recordings: Path | None = None,
        credentials: "Credentials | None" = None,
    ) -> None:
        self.faults = Faults()
        self._agent = credentials
        self._recordings = recordings
        self._record_path = settings.record_path or f"{recordings or './recordings'}/{_RECORD_PATH}"
        self._settings = settings
        self._clock = clock
        self._endpoints: Endpoints | None = None
        self._serving = anyio.Event()
        self._running: _Running | None = None
        self._api_port, self._rtsp_port = settings.api_port, settings.rtsp_port

    @property
    def endpoints(self) -> Endpoints | None:
        """Where it listens, None while it does not."""
        return self._endpoints

    async def wait_endpoints(self) -> Endpoints:
        """Where it listens, as soon as it does."""
        while self._endpoints is None:
            await self._serving.wait()
        return self._endpoints

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; commands, recordings and connections end with it.

        Raises:
            StartFailed: a port is taken (`port_in_use`).
        """
        async with (
            await _listen(self._settings.host, self._api_port, "api_port") as api,
            await _listen(self._settings.host, self._rtsp_port, "rtsp_port") as rtsp,
        ):
            try:
                async with anyio.create_task_group() as tasks:
                    await self._serve(api, rtsp, self._surroundings(tasks), task_status)
            finally:
                self._endpoints = self._running = None
                self._serving = anyio.Event()

    async def _serve(
        self,
        api: Listener[SocketStream],
        rtsp: Listener[SocketStream],
        surroundings: Surroundings,
        task_status: TaskStatus[None],
    ) -> None:
        self._api_port, self._rtsp_port = _port(api), _port(rtsp)
        surroundings.rtsp_port = self._rtsp_port
        surroundings.legacy = self._settings.legacy is not None
        running = self._running = _Running(
            self._configuration(api, rtsp), rtsp, api, surroundings, self._settings
        )
        await surroundings.tasks.start(running.rtsp.run)
        await surroundings.tasks.start(running.http.run)
        self._endpoints = Endpoints(self._settings.host, self._api_port, self._rtsp_port, surroundings.agent)
        self._serving.set()
        _log.info("serving the API on port %d and RTSP on port %d", self._api_port, self._rtsp_port)
        task_status.started()

    def _surroundings(self, tasks: TaskGroup) -> Surroundings:
        from agent_core.plugin.rtsp import Credentials
        from embedded_server.recording.record_path import RecordPath
        from embedded_server.recording.roots import RecordingRoots

        self._agent = self._agent or Credentials(_AGENT, secrets.token_urlsafe(32))
        folder = RecordPath(self._record_path, "fmp4", None).folder
        roots = RecordingRoots((self._recordings, folder) if self._recordings else (folder,))
        return Surroundings(tasks, self._clock, self.faults, roots, self._agent)

    def _configuration(self, api: Listener[SocketStream], rtsp: Listener[SocketStream]) -> "Configuration":
        from embedded_server.config import defaults
        from embedded_server.config.configuration import Configuration
        from embedded_server.config.users import DEFAULT_USERS

        users = self._settings.auth_internal_users()
        server: dict[str, Json] = {
            **defaults.GLOBAL,
            "authInternalUsers": users or DEFAULT_USERS,
            "apiAddress": f"{self._settings.host}:{_port(api)}",
            "rtspAddress": f"{self._settings.host}:{_port(rtsp)}",
            "rtspAuthMethods": list(self._settings.rtsp_auth_methods),
        }
        return Configuration(server, {"recordPath": self._record_path})

    def drop_publishers(self) -> None:
        """End the connection of every publisher, as a network fault would."""
        if self._running is not None:
            self._running.paths.drop_publishers()

    def forget_paths(self) -> None:
        """Lose all paths, as MediaMTX does when its configuration file changes; `started` stays the same."""
        if self._running is not None:
            self._running.writer.set_now(self._running.writer.current.without_paths())


class _Running:
    """The parts of a server that runs; imported with the first one, so that an agent that starts does not wait."""

    def __init__(
        self,
        configuration: "Configuration",
        rtsp: Listener[SocketStream],
        api: Listener[SocketStream],
        surroundings: Surroundings,
        settings: EmbeddedServerSettings,
    ) -> None:
        from embedded_server.api.http import HttpServer
        from embedded_server.api.routes import Api
        from embedded_server.config.writer import Writer
        from embedded_server.paths.paths import Paths
        from embedded_server.rtsp.server import RtspServer

        self.paths = Paths(configuration, surroundings)
        self.rtsp = RtspServer(rtsp, self.paths, surroundings)
        self.writer = Writer(configuration, self._apply, surroundings, settings.apply_delay_s)
        names = (settings.host, *settings.allowed_hosts)
        self.http = HttpServer(
            api, Api(self.writer, self.paths, self.rtsp, surroundings, names), surroundings
        )

    def _apply(self, before: "Configuration", after: "Configuration") -> None:
        changed = {key for key in after.server if after.server[key] != before.server[key]}
        if changed & _RESTARTING:
            self.rtsp.close_all()
            self.paths.close()
            self.http.close_connections()
        self.paths.apply(after)


async def _listen(host: str, port: int, setting: str) -> Listener[SocketStream]:
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    except OSError as error:
        raise StartFailed(
            f"The embedded media server cannot listen on port {port}.",
            reason="port_in_use",
            suggestion=f"Stop the program that has the port, or set plugins.embedded_server.{setting}.",
        ) from error
    return listener


def _port(listener: Listener[SocketStream]) -> int:
    return int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django


@asynccontextmanager
async def serving(
    settings: EmbeddedServerSettings,
    clock: Clock,
    *,
    recordings: Path | None = None,
    credentials: "Credentials | None" = None,
) -> AsyncIterator[EmbeddedServer]:
    """Run a server while the context is open; `endpoints` is set inside."""
    server = EmbeddedServer(settings, clock, recordings=recordings, credentials=credentials)
    async with anyio.create_task_group() as tg:
        await tg.start(server.run)
        yield server
        tg.cancel_scope.cancel()
