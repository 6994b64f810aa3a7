"""One camera's publisher where the agent runs it: started, watched, ended when it hangs, and started again."""

import logging
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import anyio
from anyio.abc import Process

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, FfmpegFailed, Unsupported
from agent_core.base.models import CameraId
from agent_core.base.processes import Tail, child
from agent_core.base.waiting import first_of, sleep_unless
from agent_core.mediamtx.schema import RuntimePath
from agent_core.plugin import Publisher
from agent_core.plugin.ffmpeg import explain
from agent_core.streams.publishers.liveness import Liveness, PublisherHealth, RestartPauses

__all__ = ("PublisherProcess", "PublisherRunner", "publish_command")

_log = logging.getLogger("camera_agent.publisher")

#: FFmpeg ends its RTSP session on SIGINT. One that is blocked ignores it and is killed.
_GRACE_S = 1.0
#: How long the end of its error output may take once it has ended; a child of its own may hold the pipe open.
_LAST_WORDS_S = 0.2
#: What FFmpeg 5 and 9 print when the server does not let them publish. A camera's own 401 reads differently.
_REFUSED = re.compile(r"(?:ANNOUNCE|RECORD) failed: 40[13]")
_HEADER_REFUSED = re.compile(r"Server returned 40[13]")


@dataclass(frozen=True, slots=True)
class PublisherProcess:
    """A publisher that runs; `started_s` is on the monotonic clock."""

    pid: int
    started_s: float


def _is_refused(said: str) -> bool:
    """Return whether FFmpeg's last words `said` that the media server wants other credentials."""
    headers = (line.partition("write header")[2] for line in said.splitlines())
    return bool(_REFUSED.search(said)) or any(_HEADER_REFUSED.search(rest) for rest in headers)


def publish_command(publisher: Publisher, url: str) -> tuple[str, ...]:
    """The words to run.

    Raises:
        Unsupported: the address has a user or password in it, which everybody on this host could read.
    """
    if urlsplit(url).username is not None:
        raise _needs_credentials("media_server.rtsp_url has a user in it.")
    return (*publisher.argv, url)


class PublisherRunner:
    """Keeps one camera's stream published while `run` runs.

    Args:
        prepare: makes the path and gives the program's words; called before every start. An `AgentError` of it
            counts as a failed attempt that started nothing.
        look: the path as the server has it; may raise `AgentError`.
        start_timeout_s: how long a stream may take to be live.
        on_live: called when the stream has become live.
    """

    def __init__(
        self,
        camera: CameraId,
        *,
        prepare: Callable[[], Awaitable[tuple[str, ...]]],
        look: Callable[[], Awaitable[RuntimePath | None]],
        start_timeout_s: float,
        on_live: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._camera = camera
        self._prepare = prepare
        self._look = look
        self._start_timeout_s = start_timeout_s
        self._on_live = on_live
        self._clock = clock
        self._pauses = RestartPauses()
        self._problem: AgentError | None = None
        self._is_live = False
        #: Whether a pause is one that only `hurry` may cut short.
        self._must_wait = True
        self._changed, self._doubted, self._hurry = anyio.Event(), anyio.Event(), anyio.Event()
        #: How many programs were ever started.
        self.spawned = 0
        self.process: PublisherProcess | None = None

    async def run(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Publish until cancelled, or until an attempt ends and nobody wants the stream any more.

        Cancelling ends the program and its group: SIGINT, a second, SIGKILL.
        """
        while True:
            pause_s = await self._once()
            if not is_wanted():
                return
            if self._must_wait:
                self._hurry = anyio.Event()  # whoever hurried the attempt that ended does not hurry the next
            await sleep_unless(self._clock, pause_s, self._hurry)
            self._became(live=False)

    async def _once(self) -> float:
        """One attempt; how long to wait before the next."""
        self._hurry, self._must_wait = anyio.Event(), True
        try:
            argv = await self._prepare()
        except AgentError as error:
            self._must_wait = False
            self._failed(error)
            return self._pauses.unprepared()
        return self._pauses.after_run(await self._attempt(argv))

    def hurry(self) -> None:
        """Cut a pause short, whatever it is for: what made the attempts fail is over."""
        self._hurry.set()

    async def wait_live(self) -> None:
        """Return when a look at the server shows the stream live.

        An attempt that could not even start a program is repeated at once; after one that did, the pause stands.

        Raises:
            AgentError: why the current attempt failed, or the last one where the next has to wait.
        """
        if self._problem is not None and self._must_wait:
            raise self._problem
        self._hurry.set()
        self._is_live = False  # whoever waits has reason to doubt it
        self._doubted.set()
        while not self._is_live:
            await self._changed.wait()
            if self._problem is not None:
                raise self._problem

    def _failed(self, error: AgentError) -> None:
        fields = {"camera": self._camera, "reason": error.reason}
        _log.warning("the camera is not published: %s", error.details, extra={"fields": fields})
        self._became(live=False, problem=error)

    def _became(self, *, live: bool, problem: AgentError | None = None) -> None:
        was_live, self._is_live, self._problem = self._is_live, live, problem
        self._changed.set()
        self._changed = anyio.Event()
        if live and not was_live:
            self._on_live()

    async def _attempt(self, argv: tuple[str, ...]) -> float:
        """Run the program to its end, whatever that is; for how many seconds its stream was live."""
        liveness = Liveness(self._clock.monotonic_s(), start_timeout_s=self._start_timeout_s)
        try:
            async with child(
                argv, stdout=subprocess.DEVNULL, stop_signal=signal.SIGINT, grace_s=_GRACE_S
            ) as process:
                self.spawned += 1
                self.process = PublisherProcess(process.pid, self._clock.monotonic_s())
                problem = await self._follow(process, argv, liveness)
        except FileNotFoundError:
            problem = FfmpegFailed("The program that publishes was not found.", reason="ffmpeg_missing")
        except OSError as error:  # no descriptor, process or memory left: later there may be
            problem = _not_started(error)
        finally:
            self.process = None
        self._failed(problem)
        return liveness.live_s

    async def _follow(self, process: Process, argv: tuple[str, ...], liveness: Liveness) -> AgentError:
        """Why the program ended, or has to be ended."""
        tail = Tail()
        assert process.stderr is not None  # noqa: S101 - PIPE is the default
        async with anyio.create_task_group() as tg:
            tg.start_soon(tail.follow, process.stderr)
            await first_of(process.wait, partial(self._until_hung, liveness))
            tg.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_S
        if process.returncode is None:
            return _hangs(liveness.health)
        if _is_refused(tail.text):
            return _needs_credentials("The media server does not let this agent publish without a password.")
        if process.returncode == 0:
            return FfmpegFailed("The publisher's input ended.", reason="publisher_ended", suggestion=_INPUT)
        return explain(tail.text, process.returncode, argv)

    async def _until_hung(self, liveness: Liveness) -> None:
        """Look at the path until it shows that the program hangs."""
        while liveness.health in (PublisherHealth.STARTING, PublisherHealth.LIVE):
            self._doubted = anyio.Event()
            await self._judge(liveness)
            await sleep_unless(self._clock, liveness.next_look_s(self._clock.monotonic_s()), self._doubted)

    async def _judge(self, liveness: Liveness) -> None:
        try:
            path = await self._look()
        except AgentError:
            liveness.unanswered(self._clock.monotonic_s())
            return
        live, inbound_bytes = (path.live, path.inbound_bytes) if path else (False, 0)
        liveness.saw(self._clock.monotonic_s(), live=live, inbound_bytes=inbound_bytes)
        is_live = liveness.health is PublisherHealth.LIVE
        if is_live is not self._is_live:
            self._became(live=is_live)


_INPUT = "Check that the camera is connected and delivers pictures."


def _hangs(health: PublisherHealth) -> FfmpegFailed:
    if health is PublisherHealth.SILENT:
        return FfmpegFailed(
            "The publisher hung: the media server got nothing from it any more.",
            reason="publisher_silent",
            suggestion="Check the camera, and the network between this host and the media server.",
        )
    return FfmpegFailed("The stream did not start in time.", reason="start_timed_out", suggestion=_INPUT)


def _not_started(error: OSError) -> FfmpegFailed:
    return FfmpegFailed(
        f"The program that publishes could not be started: {error.strerror}.",
        reason="publisher_not_started",
        suggestion="Check the limits of the agent's service: open files, processes, memory.",
    )


def _needs_credentials(details: str) -> Unsupported:
    return Unsupported(
        f"{details} Publishing with credentials is not supported: they would stand in a command line.",
        feature="publisher_credentials",
        reason="publish_needs_credentials",
        suggestion="Let the media server accept this host's address without a password for the action publish.",
    )
