"""The connection to the media server: who it is, and whether we have it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, MediaServerUnavailable, Unsupported
from agent_core.base.waiting import GrowingPauses
from agent_core.mediamtx.breaker import CircuitBreaker, CircuitOpen
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.plugin import MediaServerEndpoints

if TYPE_CHECKING:
    from agent_core.mediamtx.client import MediaServerClient
    from agent_core.mediamtx.paths import PathManager

__all__ = ("Connected", "Recovery", "ServerLink")


class Recovery:
    """Wakes tasks that wait for the server's return at its first answer, before a long pause ends.

    A sign of life counts only after a silence. A stream may end a hundred times for reasons of its own: while the
    server answers all the time, that cuts nobody's pause short.
    """

    def __init__(self) -> None:
        self._doubted = anyio.Event()
        self._recovered = anyio.Event()
        self._is_silent = False

    @property
    def is_silent(self) -> bool:
        """Return True if the last probe got no answer."""
        return self._is_silent

    @property
    def doubted(self) -> anyio.Event:
        """Set by `doubt`, until the next probe."""
        return self._doubted

    def doubt(self) -> None:
        """Have the server probed now: something that goes through it has ended."""
        self._doubted.set()

    def probing(self) -> None:
        """A probe begins; what is doubted from now on needs another one."""
        self._doubted = anyio.Event()

    def unanswered(self) -> None:
        """The probe got no answer."""
        self._is_silent = True

    def answered(self) -> None:
        """The probe got one; whoever waits is woken if the one before did not."""
        if self._is_silent:
            self._is_silent = False
            self._recovered.set()
            self._recovered = anyio.Event()

    async def wait(self) -> None:
        """Return when the server answers again after a silence."""
        await self._recovered.wait()


_log = logging.getLogger("camera_agent.media_server")

#: Between two questions where the server listens, after a failure.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A media server that accepts calls."""

    client: "MediaServerClient"
    paths: "PathManager"
    endpoints: Endpoints


class ServerLink:
    """Opens the client once the server's addresses are known, and lends it.

    Args:
        endpoints: waits for the addresses; None where no media server is configured.
        breaker: guards the calls of everybody who is lent the client.
        problem: why the media server does not run, as far as that is known.
    """

    def __init__(
        self,
        endpoints: Callable[[], Awaitable[MediaServerEndpoints]] | None,
        *,
        breaker: CircuitBreaker,
        problem: Callable[[], AgentError | None] = lambda: None,
        clock: Clock,
    ) -> None:
        self.breaker = breaker
        self.recovery = Recovery()
        self._endpoints = endpoints
        self._problem = problem
        self._clock = clock
        self._connected: Connected | None = None
        self._probing: MediaServerClient | None = None
        #: Why it is not known where the server listens.
        self._unknown: AgentError | None = None

    @property
    def is_configured(self) -> bool:
        return self._endpoints is not None

    @property
    def current(self) -> Connected | None:
        """The server where there is one that can be asked."""
        return self._connected

    @property
    def repairs(self) -> int:
        """How often a path was not as it should be, since the server was connected."""
        return self._connected.paths.counters.repairs if self._connected else 0

    def require(self) -> Connected:
        """The server.

        Raises:
            Unsupported: none is configured.
            MediaServerUnavailable: it is still starting, or cannot start, with the reason of that.
        """
        if self._endpoints is None:
            raise Unsupported(
                "This agent has no media server.",
                feature="media_server",
                reason="no_media_server",
                suggestion="Enable the plugin embedded_server, or set media_server.mode to managed or external.",
            )
        if self._connected is None:
            raise self._not_connected()
        return self._connected

    async def probe(self) -> None:
        """Ask the server for a sign of life, whatever the circuit breaker says.

        Raises:
            MediaServerError: it gave none.
        """
        self.require()
        if self._probing is not None:
            await self._probing.info()

    def doubt_after(self, error: AgentError) -> None:
        """Have the server probed now where `error` may mean that it is gone; with an open circuit it is anyhow."""
        if isinstance(error, MediaServerUnavailable) and not isinstance(error, CircuitOpen):
            self.recovery.doubt()

    def _not_connected(self) -> MediaServerUnavailable:
        problem = self._problem() or self._unknown
        if problem is not None:
            return MediaServerUnavailable(
                f"The media server does not run. {problem.details}",
                reason=problem.reason,
                suggestion=problem.suggestion,
            )
        return MediaServerUnavailable(
            "The media server is still starting.",
            reason="media_server_starting",
            suggestion="Try again in a moment.",
        )

    async def _wait_endpoints(self, wait: Callable[[], Awaitable[MediaServerEndpoints]]) -> Endpoints:
        """Return where the server listens; a plugin that fails to say so is asked again, with growing pauses."""
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                with contained("The media server's wait_endpoints()"):
                    at = Endpoints.reported(await wait())
            except Exception as error:  # noqa: BLE001 - foreign code
                _log.exception("where the media server listens is not known")
                self._unknown = error if isinstance(error, AgentError) else _unexplained(error)
                await self._clock.sleep(pauses.next_s())
            else:
                self._unknown = None
                return at

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the client open until cancelled; started at once."""
        task_status.started()
        if self._endpoints is None:
            return
        at = await self._wait_endpoints(self._endpoints)
        from agent_core.mediamtx.client import MediaServerClient
        from agent_core.mediamtx.paths import PathManager

        guarded = MediaServerClient(
            at.api_url, credentials=at.credentials, breaker=self.breaker, clock=self._clock
        )
        unguarded = MediaServerClient(at.api_url, credentials=at.credentials)
        async with guarded as client, unguarded as probing:
            self._probing = probing
            paths = PathManager(client, clock=self._clock)
            self._connected = Connected(client, paths, at)
            _log.info("using the media server whose RTSP is at %s", at.rtsp_url)
            try:
                await anyio.sleep_forever()
            finally:
                self._connected = self._probing = None


def _unexplained(error: Exception) -> MediaServerUnavailable:
    return MediaServerUnavailable(
        f"Its plugin failed to say where it listens: {type(error).__name__}.",
        reason="media_server_unknown",
        suggestion="The agent's log has the whole error; the plugin is asked again with growing pauses.",
    )
