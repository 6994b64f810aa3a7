"""Connection to the media server: its endpoints, its client, and its return after a silence."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, MediaServerUnavailable, Unsupported
from agent_core.base.metrics import MetricRegistry
from agent_core.base.waiting import GrowingPauses
from agent_core.mediamtx.breaker import CircuitBreaker, CircuitOpen
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.mediamtx.redaction import without_credentials
from agent_core.plugin import MediaServerEndpoints

if TYPE_CHECKING:
    from agent_core.mediamtx.client import MediaServerClient
    from agent_core.mediamtx.paths import PathCounters, PathManager

__all__ = ("Connected", "Recovery", "ServerLink", "ServerState")

_log = logging.getLogger("camera_agent.media_server")

#: Pauses between two calls of `wait_endpoints` after a failure.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class Recovery:
    """Wakes tasks that wait for the server's return at its first answer, before a long pause ends.

    An answer wakes them only after an unanswered probe. Streams also end for other reasons: while the server answers
    every probe, pauses run to their end. A server that has just begun to serve wakes them too: it has lost its paths.
    """

    def __init__(self) -> None:
        self._doubted = anyio.Event()
        self._recovered = anyio.Event()
        self._is_silent = False

    @property
    def is_silent(self) -> bool:
        """True if the last probe was not answered."""
        return self._is_silent

    @property
    def doubted(self) -> anyio.Event:
        """Event that `doubt` sets; each probe replaces it."""
        return self._doubted

    def doubt(self) -> None:
        """Request a probe now: something that goes through the server has ended."""
        self._doubted.set()

    def probing(self) -> None:
        """Record the start of a probe; a doubt from now on requests another one."""
        self._doubted = anyio.Event()

    def unanswered(self) -> None:
        """Record that the probe was not answered."""
        self._is_silent = True

    def answered(self) -> None:
        """Record that the probe was answered; wake the waiting tasks if the probe before was not."""
        if self._is_silent:
            self._is_silent = False
            self.began()

    def began(self) -> None:
        """Wake the waiting tasks: the server has begun to serve, maybe between two probes."""
        self._recovered.set()
        self._recovered = anyio.Event()

    async def wait(self) -> None:
        """Return when the server answers again after a silence, or has begun to serve."""
        await self._recovered.wait()


@dataclass(frozen=True, slots=True)
class Connected:
    """Media server whose endpoints are known, with its clients."""

    client: "MediaServerClient"
    paths: "PathManager"
    endpoints: Endpoints


class ServerState(StrEnum):
    """State of the media server as the agent's calls and probes have shown it."""

    UP = "up"
    DOWN = "down"
    ABSENT = "absent"


class ServerLink:
    """Opens the client once the server's addresses are known, and lends it.

    Args:
        endpoints: waits for the addresses; None if no media server is configured.
        breaker: guards the calls of all borrowers of the client.
        problem: returns the reason why the media server does not run, if it is known.
        began: returns each time the media server begins to serve; None if that cannot be known.
    """

    def __init__(
        self,
        endpoints: Callable[[], Awaitable[MediaServerEndpoints]] | None,
        *,
        breaker: CircuitBreaker,
        problem: Callable[[], AgentError | None] = lambda: None,
        began: Callable[[], Awaitable[None]] | None = None,
        clock: Clock,
    ) -> None:
        self.breaker = breaker
        self.recovery = Recovery()
        self._endpoints = endpoints
        self._problem = problem
        self._began = began
        self._clock = clock
        self._connected: Connected | None = None
        self._probing: MediaServerClient | None = None
        #: Names of the protocols that clients can use now; empty until the server has answered, and while it is lost.
        self.served: tuple[str, ...] = ()
        #: The last failure of `wait_endpoints`.
        self._unknown: AgentError | None = None

    @property
    def is_configured(self) -> bool:
        return self._endpoints is not None

    @property
    def state(self) -> ServerState:
        """State of the server, without I/O: DOWN while it starts, and while the breaker refuses calls.

        A single unanswered probe does not count: on a busy device a server answers late.
        """
        if not self.is_configured:
            return ServerState.ABSENT
        is_refusing = self.breaker.is_refusing(self._clock.monotonic_s())
        return ServerState.DOWN if is_refusing or self._connected is None else ServerState.UP

    @property
    def current(self) -> Connected | None:
        """The server; None until its endpoints are known."""
        return self._connected

    @property
    def repairs(self) -> int:
        """Number of repaired paths since the server was connected."""
        return self._connected.paths.total.repairs if self._connected else 0

    @property
    def path_counters(self) -> "Mapping[str, PathCounters]":
        """The counters of each configured path since the server was connected."""
        return self._connected.paths.counters if self._connected else {}

    def add_metrics(self, registry: MetricRegistry, paths: Callable[[], Iterable[str]]) -> None:
        """Describe the server's state, and the configuration of those `paths` whose series are shown."""
        registry.gauge(
            "camera_agent_media_server_up",
            "1 if the media server is used, 0 while it starts or calls to it are paused.",
            lambda: int(self.state is ServerState.UP) if self.is_configured else None,
        )
        self.breaker.add_metrics(registry)
        self._add_by_path(registry, paths)

    def _add_by_path(self, registry: MetricRegistry, paths: Callable[[], Iterable[str]]) -> None:
        def by_path(read: "Callable[[PathCounters], int]") -> Callable[[], dict[tuple[str, ...], float]]:
            def by_name() -> dict[tuple[str, ...], float]:
                known = self.path_counters
                return {(name,): read(known[name]) for name in paths() if name in known}

            return by_name

        registry.counter(
            "camera_agent_path_writes_total",
            "Changes of a path sent to the media server.",
            by_path(lambda counters: counters.writes),
            labels=("path",),
        )
        registry.counter(
            "camera_agent_path_retries_total",
            "Changes of a path sent again because the media server did not answer.",
            by_path(lambda counters: counters.retries),
            labels=("path",),
        )
        registry.counter(
            "camera_agent_path_repairs_total",
            "Repairs of a path that differed from its plan.",
            by_path(lambda counters: counters.repairs),
            labels=("path",),
        )

    def require(self) -> Connected:
        """Return the server.

        Raises:
            Unsupported: no media server is configured.
            MediaServerUnavailable: it is still starting, or cannot start; the error has the reason.
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
        """Ask the server whether it lives and what it serves, bypassing the circuit breaker.

        Raises:
            MediaServerError: it did not answer as MediaMTX does.
        """
        self.require()
        if self._probing is not None:
            await self._probing.info()
            self.served = await self._probing.protocols()

    def lost(self) -> None:
        """Record that the server does not answer any more: until the next answered probe it serves nothing."""
        self.served = ()

    def doubt_after(self, error: AgentError) -> None:
        """Request a probe if `error` may mean that the server is gone; an open circuit has requested one already."""
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
        """Return the endpoints; call a plugin that fails again, with growing pauses."""
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                with contained("The media server's wait_endpoints()"):
                    at = Endpoints.reported(await wait())
            except Exception as error:  # noqa: BLE001 - foreign code
                _log.exception("the media server's endpoints are unknown")
                self._unknown = error if isinstance(error, AgentError) else _unexplained(error)
                await self._clock.sleep(pauses.next_s())
            else:
                self._unknown = None
                return at

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the client open until cancelled. Reports started at once."""
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
            self.recovery.doubt()  # what it serves is known after a probe
            _log.info("using the media server whose RTSP is at %s", without_credentials(at.rtsp_url))
            try:
                await self._watch_begins()
            finally:
                self._connected = self._probing = None
                self.lost()

    async def _watch_begins(self) -> None:
        """Wake the waiting tasks now, and whenever the server begins to serve again, until cancelled."""
        self.recovery.began()
        while self._began is not None:
            await self._began()
            self.recovery.began()
        await anyio.sleep_forever()


def _unexplained(error: Exception) -> MediaServerUnavailable:
    return MediaServerUnavailable(
        f"Its plugin failed to return its endpoints: {type(error).__name__}.",
        reason="media_server_unknown",
        suggestion="See the whole error in the agent's log; the agent asks the plugin again with growing pauses.",
    )
