"""MediaMTX as a component: the agent starts it, watches it and ends it."""

import logging
import os
import secrets
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED, CancelScope
from anyio.abc import ByteReceiveStream, Process, TaskGroup, TaskStatus

from agent_core.base import processes
from agent_core.base.clock import Clock
from agent_core.base.errors import (
    AgentError,
    MediaServerError,
    MediaServerRefused,
    MediaServerUnavailable,
    StartFailed,
)
from agent_core.base.files import explain_os_error, write_atomic
from agent_core.base.folders import own_folder
from agent_core.base.line_limit import LineLimit
from agent_core.base.locks import InstanceLock
from agent_core.base.partial_files import remove_abandoned
from agent_core.base.waiting import first_of
from agent_core.base.workers import WorkerPool
from agent_core.config.sections import MediaServerConfig
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.mediamtx.managed.config import Ports, configuration
from agent_core.mediamtx.managed.listening import explain_listener, explain_no_port
from agent_core.mediamtx.managed.log import ServerLog
from agent_core.mediamtx.managed.program import environment, locate, version_of
from agent_core.mediamtx.managed.watchdog import until_hung
from agent_core.mediamtx.redaction import without_addresses
from agent_core.plugin import MediaServer
from agent_core.plugin.rtsp import Credentials

__all__ = ("CONFIG_FILE", "FOLDER", "ManagedServer")

_log = logging.getLogger("camera_agent.mediamtx")

#: The server's working folder, below the state folder, and its configuration there.
FOLDER = "media_server"
CONFIG_FILE = "mediamtx.yml"
USER = "camera-agent"
#: Names the folder in errors: clients see them, so they have no paths of this host.
_SHOWN = f"{FOLDER} in the state folder"
START_LIMIT_S = 10.0
#: The server finalises recordings first, then waits for the commands that it runs.
STOP_GRACE_S = 8.0
_POLL_S = 0.05
#: Limit for reading the rest of an ended server's output: a command that survives it keeps the pipe open.
_LAST_WORDS_S = 0.5


class ManagedServer(MediaServer):
    """Runs MediaMTX. Addresses and credentials stay the same across restarts.

    Args:
        state_dir: parent of the server's working folder.
        require_state: raises StorageFailed while `state_dir` is not there.
        start_limit_s: longest time from the start until the API answers.
    """

    name = "mediamtx"

    def __init__(
        self,
        settings: MediaServerConfig,
        *,
        state_dir: Path,
        clock: Clock,
        require_state: Callable[[], None] = lambda: None,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        self._settings = settings
        self._start_limit_s = start_limit_s
        self._folder = state_dir / FOLDER
        self._require_state = require_state
        self._clock = clock
        #: New for each agent, and in memory only.
        self._credentials = Credentials(USER, secrets.token_urlsafe(32))
        self._ports: Ports | None = None
        self._serving = anyio.Event()
        self._threads = WorkerPool(1)
        #: For all runs together: a program that prints much and ends is started again and again.
        self._limit = LineLimit()

    @property
    def ports(self) -> Ports | None:
        """Ports of the server, the same at each restart; None until it has served once."""
        return self._ports

    async def wait_endpoints(self) -> Endpoints:
        """Return the endpoints once the API answers."""
        while not self._serving.is_set() or self._ports is None:
            await self._serving.wait()
        return self._endpoints(self._ports)

    def _endpoints(self, ports: Ports) -> Endpoints:
        return Endpoints(f"http://127.0.0.1:{ports.api}", f"rtsp://127.0.0.1:{ports.rtsp}", self._credentials)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the program until cancelled; then send SIGINT, and kill it if it takes longer than STOP_GRACE_S.

        Never returns: a server that ends has failed, regardless of its status.

        Raises:
            StartFailed: `program_missing`, `program_not_executable`, `not_mediamtx`, `mediamtx_too_old`,
                `already_running`, `port_in_use`, `port_not_allowed`, `host_not_here`, `listen_failed`,
                `start_timed_out`, `media_server_ended`, or a fault of the state folder.
            MediaServerUnavailable: `media_server_ended`, `media_server_hung`: it had served before.
        """
        program = locate(self._settings.program)
        version = await version_of(program)
        await self._threads.run(self._make_folder)
        with InstanceLock(self._folder, what="media server", shown=""):
            ports = self.ports or _choose_ports(self._settings)
            content = configuration(self._settings, ports, self._credentials, version)
            await self._threads.run(self._write, content)
            _log.info("starting MediaMTX %s", ".".join(map(str, version)))
            raise await self._run_program(program, ports, task_status)

    def _make_folder(self) -> None:
        """Claim the folder: an account with write access to it controls which commands the server runs."""
        self._require_state()
        with own_folder(self._folder, "storage.state_dir", follow=False, shown=_SHOWN):
            pass

    def _write(self, content: bytes) -> None:
        try:
            remove_abandoned(self._folder)  # it holds passwords
            write_atomic(self._folder / CONFIG_FILE, content, mode=0o600)
        except OSError as error:
            raise _folder_failed(error) from error

    async def _run_program(self, program: str, ports: Ports, task_status: TaskStatus[None]) -> AgentError:
        """Run the program to its end; return the reason, which a task group would wrap if it were raised."""
        log, reading = ServerLog(self._limit, clock=self._clock), CancelScope(shield=True)
        async with anyio.create_task_group() as tg:
            try:
                async with processes.child(
                    [program, str((self._folder / CONFIG_FILE).absolute())],
                    stderr=subprocess.STDOUT,
                    stop_signal=signal.SIGINT,
                    grace_s=STOP_GRACE_S,
                    env=environment(os.environ),
                    cwd=self._folder,
                ) as process:
                    self._read(tg, log, process, reading)
                    ending = await self._attend(process, log, ports, task_status)
            finally:
                reading.cancel()
                if self._serving.is_set():  # tasks that wait already keep their event
                    self._serving = anyio.Event()
        self._threads = WorkerPool(1)
        return ending

    def _read(self, tg: TaskGroup, log: ServerLog, process: Process, reading: CancelScope) -> None:
        """Log the output in a task of `tg`, also while the program ends: a full pipe would block it."""
        assert process.stdout is not None  # noqa: S101 - PIPE is the default

        async def follow(stream: ByteReceiveStream) -> None:
            with reading:
                await log.follow(stream)

        tg.start_soon(follow, process.stdout)

    async def _attend(
        self, process: Process, log: ServerLog, ports: Ports, task_status: TaskStatus[None]
    ) -> AgentError:
        """Watch the program until it ends, hangs or fails to start in time; return the reason."""
        await first_of(process.wait, partial(self._until_hung, ports, task_status))
        served = self._serving.is_set()
        if process.returncode is not None:
            with anyio.move_on_after(_LAST_WORDS_S):
                await log.complete.wait()
        elif served:
            process.kill()  # a stopped program keeps every other signal for later
            return _hung(self._settings.hang_timeout_s)
        return _ending(process.returncode, log.last_error, ports, served=served)

    async def _until_hung(self, ports: Ports, task_status: TaskStatus[None]) -> None:
        """Return when the program does not answer: within `start_limit_s` of its start, or later when it hangs."""
        at = self._endpoints(ports)
        with anyio.move_on_after(self._start_limit_s) as starting:
            await self._until_answering(at)
        if starting.cancelled_caught:
            return
        self._ports = ports
        self._serving.set()
        task_status.started()
        async with MediaServerClient(at.api_url, credentials=at.credentials) as client:
            await until_hung(client, timeout_s=self._settings.hang_timeout_s, clock=self._clock)

    async def _until_answering(self, at: Endpoints) -> None:
        """Return when the API answers the agent alone; another server on the port does not know the password."""
        async with (
            MediaServerClient(at.api_url) as stranger,
            MediaServerClient(at.api_url, credentials=at.credentials) as client,
        ):
            while not (await _refuses(stranger) and await _serves(client)):
                await self._clock.sleep(_POLL_S)


def _choose_ports(settings: MediaServerConfig) -> Ports:
    try:
        return Ports.of(settings)
    except OSError as error:
        raise explain_no_port(error) from error


async def _refuses(stranger: MediaServerClient) -> bool:
    try:
        await stranger.info()
    except MediaServerRefused as refused:
        return refused.reason == "not_authorized"
    except MediaServerError:
        return False
    return False


async def _serves(client: MediaServerClient) -> bool:
    try:
        await client.info()
    except MediaServerError:
        return False
    return True


def _hung(timeout_s: float) -> MediaServerUnavailable:
    return MediaServerUnavailable(
        f"The media server did not answer for {timeout_s:g} s, so the agent killed it.",
        reason="media_server_hung",
        suggestion="The agent restarts it; see its last lines in the agent's log.",
    )


def _ending(returncode: int | None, last_error: str, ports: Ports, *, served: bool) -> AgentError:
    if returncode is None:
        return StartFailed(
            "The media server was started, but does not answer.",
            reason="start_timed_out",
            suggestion="Check that media_server.program is MediaMTX and see its lines in the agent's log.",
        )
    how = f"by signal {-returncode}" if returncode < 0 else f"with status {returncode}"
    if served:
        return MediaServerUnavailable(
            f"The media server ended {how}.",
            reason="media_server_ended",
            suggestion="The agent restarts it; see its lines in the agent's log.",
            detail=without_addresses(last_error),
        )
    if (unopened := explain_listener(last_error, ports)) is not None:
        return unopened
    words = f": {without_addresses(last_error)}" if last_error else ""
    return StartFailed(
        f"The media server ended {how} before it answered{words}.",
        reason="media_server_ended",
        suggestion="See its lines in the agent's log; `camera-agent check-config` checks the agent's side.",
    )


def _folder_failed(error: OSError) -> StartFailed:
    why = explain_os_error(error, "make the media server's folder in the state folder")
    return StartFailed(why.details, reason=why.reason, suggestion=why.suggestion)
