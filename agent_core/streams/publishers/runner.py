"""Runner of one camera's publisher: starts it, watches it, ends it when it hangs, and starts it again."""

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

#: FFmpeg ends its RTSP session on SIGINT. A blocked FFmpeg ignores SIGINT and is killed.
_GRACE_S = 1.0
#: Limit for reading the rest of an ended program's error output: its children may hold the pipe open.
_LAST_WORDS_S = 0.2
#: Output of FFmpeg 5 and 9 if the server refuses publishing. A 401 of the camera itself reads differently.
_REFUSED = re.compile(r"(?:ANNOUNCE|RECORD) failed: 40[13]")
_HEADER_REFUSED = re.compile(r"Server returned 40[13]")


@dataclass(frozen=True, slots=True)
class PublisherProcess:
    """Running publisher; `started_s` is on the monotonic clock."""

    pid: int
    started_s: float


def _is_refused(said: str) -> bool:
    """Return True if FFmpeg's output reports that the media server refused it."""
    headers = (line.partition("write header")[2] for line in said.splitlines())
    return bool(_REFUSED.search(said)) or any(_HEADER_REFUSED.search(rest) for rest in headers)


def publish_command(publisher: Publisher, url: str) -> tuple[str, ...]:
    """Return the command that publishes at `url`.

    Raises:
        Unsupported: `url` has a user or password, which all users of this host could read in the command line.
    """
    if urlsplit(url).username is not None:
        raise _needs_credentials("media_server.rtsp_url has a user in it.")
    return (*publisher.argv, url)


class PublisherRunner:
    """Keeps one camera's stream published while `run` runs.

    Args:
        prepare: makes the path and returns the command; called before every start. If it raises `AgentError`, the
            attempt fails without starting a program.
        look: reads the path from the server; may raise `AgentError`.
        start_timeout_s: longest time until a stream is live.
        on_live: called when the stream becomes live.
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
        #: Only `hurry` may end the pause.
        self._must_wait = True
        self._changed, self._doubted, self._hurry = anyio.Event(), anyio.Event(), anyio.Event()
        #: Number of programs started so far.
        self.spawned = 0
        self.process: PublisherProcess | None = None

    async def run(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Publish until cancelled, or until an attempt ends while `is_wanted` returns False.

        Cancelling sends the program and its group SIGINT, and SIGKILL after a second.
        """
        while True:
            pause_s = await self._once()
            if not is_wanted():
                return
            if self._must_wait:
                self._hurry = anyio.Event()  # a hurry during the attempt does not shorten the pause after it
            await sleep_unless(self._clock, pause_s, self._hurry)
            self._became(live=False)

    async def _once(self) -> float:
        """Make one attempt; return the seconds to wait before the next."""
        self._hurry, self._must_wait = anyio.Event(), True
        try:
            argv = await self._prepare()
        except AgentError as error:
            self._must_wait = False
            self._failed(error)
            return self._pauses.unprepared()
        return self._pauses.after_run(await self._attempt(argv))

    def hurry(self) -> None:
        """End any pause now: the cause of the failed attempts is over."""
        self._hurry.set()

    async def wait_live(self) -> None:
        """Return when the server shows the stream live.

        Ends the pause after an attempt that started no program; after other attempts the pause continues.

        Raises:
            AgentError: the current attempt failed, or the last one did and its pause continues.
        """
        if self._problem is not None and self._must_wait:
            raise self._problem
        self._hurry.set()
        self._is_live = False  # the caller has reason to doubt it
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
        """Run the program to its end; return the seconds for which its stream was live."""
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
        except OSError as error:  # no descriptor, process or memory left; retry later
            problem = _not_started(error)
        finally:
            self.process = None
        self._failed(problem)
        return liveness.live_s

    async def _follow(self, process: Process, argv: tuple[str, ...], liveness: Liveness) -> AgentError:
        """Watch the program until it ends or hangs; return the reason."""
        tail = Tail()
        assert process.stderr is not None  # noqa: S101 - PIPE is the default
        async with anyio.create_task_group() as tg:
            tg.start_soon(tail.follow, process.stderr)
            await first_of(process.wait, partial(self._until_hung, liveness))
            tg.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_S
        if process.returncode is None:
            return _hangs(liveness.health)
        if _is_refused(tail.text):
            return _needs_credentials(
                "The media server refuses to let this agent publish without a password."
            )
        if process.returncode == 0:
            return FfmpegFailed("The publisher's input ended.", reason="publisher_ended", suggestion=_INPUT)
        return explain(tail.text, process.returncode, argv)

    async def _until_hung(self, liveness: Liveness) -> None:
        """Read the path at intervals; return when it shows that the program hangs."""
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
            "The publisher hung: the media server received nothing more from it.",
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
        f"{details} Publishing with credentials is not supported: they would be visible in a command line.",
        feature="publisher_credentials",
        reason="publish_needs_credentials",
        suggestion="Allow this host's address the action publish without a password in the media server.",
    )
