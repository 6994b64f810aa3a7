"""Client of the worker process, which decodes outside the agent: requests, readers, starts and restarts."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import count

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import (
    NOT_ASKED,
    CaptureFailed,
    CaptureRequest,
    Clock,
    GrowingPauses,
    TierUnavailable,
)
from rtsp_tier.decoder.source import VideoSource
from rtsp_tier.decoder.worker_run import WorkerFailed, WorkerLimits, WorkerRun
from rtsp_tier.messages import (
    Cancel,
    CloseReader,
    Configure,
    Failed,
    OpenReader,
    ReaderEnded,
    ReaderOpen,
    Reason,
    StreamOpen,
    Taken,
    TakeOnce,
    TakeResident,
    ToPlugin,
)

__all__ = ("DecoderClient", "ReaderGone", "Reading")

_log = logging.getLogger("camera_agent.rtsp_tier")

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
#: The worker gives up this long before the caller does, so that its reason arrives.
_MARGIN_S = 0.1
#: Ends of the worker that a reader may see without a picture in between. Its stream may be what ends the worker.
_LOSSES = 2
#: Reasons that concern the reader and not the stream as it is now.
_READER_GONE = frozenset([Reason.NO_READER, Reason.STREAM_ENDED])


class ReaderGone(CaptureFailed):
    """The resident reader had ended when it was asked, or ended before it had a picture."""


#: Returns a context that counts a reader as the agent's own.
Reading = Callable[[], AbstractContextManager[None]]


class _Connection:
    """Counter of one reader, from the worker's report that it has connected until it may have left.

    A reader that is counted too early hides a viewer, whose stream could then be ended.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._open = ExitStack()

    def opened(self) -> None:
        self._open.close()
        self._open.enter_context(self._reading())

    def closed(self) -> None:
        self._open.close()


@dataclass
class _Attempt:
    """Request that waits for its answer. `connection` is that of its own reader, if it has one."""

    message: TakeOnce | TakeResident
    connection: _Connection | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: Taken | CaptureFailed | None = None

    def end(self, answer: Taken | CaptureFailed) -> None:
        self.answer = answer
        self.answered.set()


@dataclass
class _Reader:
    """Resident reader as it is to be in each worker; `losses` counts the workers that ended since its last picture."""

    message: OpenReader
    ended: Callable[[], None]
    connection: _Connection
    losses: int = 0


class DecoderClient:
    """Takes pictures with the worker process, which it starts when there is work and ends when there is none.

    `run` owns the process and all tasks; the other methods may be called from any task. When the worker crashes, hangs
    or needs too much memory, the attempts in flight fail and the resident readers are opened in the next one. A worker
    that has given a picture is replaced at once, others after growing pauses. One that is too large lives for a pause
    that grows, too.

    Args:
        argv: the worker's command.
        configure: first message to each worker.
        limits: limits of the process.
        clock: the agent's clock.
    """

    def __init__(
        self, argv: Sequence[str], *, configure: Configure, limits: WorkerLimits, clock: Clock
    ) -> None:
        self._argv = argv
        self._configure = configure
        self._limits = limits
        self._clock = clock
        self._numbers = count(1)
        self._attempts: dict[int, _Attempt] = {}
        self._readers: dict[int, _Reader] = {}
        self._worker: WorkerRun | None = None
        self._wanted = anyio.Event()
        self._is_running = False
        self._has_delivered = False
        self._paused_until_s = 0.0
        self._used_s = 0.0
        self._replacements = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._started_s = self._replaceable_s = 0.0
        #: Number of workers started so far.
        self.starts = 0

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Start, watch and restart workers until cancelled."""
        pauses = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._is_running = True
        task_status.started()
        try:
            while True:
                await self._wait_work()
                try:
                    await self._serve()
                except WorkerFailed as error:
                    _log.warning("the decoding process failed: %s", error)
                    self._lost(error)
                    await self._pause(pauses)
        finally:
            self._is_running = False
            self._end_attempts("The plugin ends.")
            self._end_readers(list(self._readers))

    async def take_once(
        self,
        source: VideoSource,
        request: CaptureRequest,
        *,
        unsettled_from_s: float = 0.0,
        reading: Reading = nullcontext,
    ) -> Taken:
        """Open the video, take one picture, close it.

        Args:
            source: what to read.
            request: limits of the picture.
            unsettled_from_s: time from which a picture of a camera that still adjusts its exposure will do.
            reading: counts the reader while it is connected.

        Raises:
            TierUnavailable, CaptureFailed: as the worker says, or because it failed.
        """
        user, password = _credentials(source)
        message = TakeOnce(
            request=next(self._numbers),
            url=source.url,
            user=user,
            password=password,
            not_before_s=max(0.0, request.not_before_s),
            deadline_s=self._worker_deadline_s(request),
            interval_s=source.interval_s,
            unsettled_from_s=unsettled_from_s,
        )
        return await self._take(_Attempt(message, _Connection(reading)), request.deadline_s)

    async def take_resident(
        self, reader: int, request: CaptureRequest, *, unsettled_from_s: float = 0.0
    ) -> Taken:
        """Take a picture from a resident reader: the cheapest one that is new enough. Arguments: as for `take_once`.

        Raises:
            ReaderGone: the reader had ended, or has ended meanwhile.
            TierUnavailable, CaptureFailed: as the worker says, or because it failed.
        """
        if reader not in self._readers:
            raise ReaderGone("The reader has ended.", reason=Reason.NO_READER)
        message = TakeResident(
            request=next(self._numbers),
            reader=reader,
            not_before_s=max(0.0, request.not_before_s),
            deadline_s=self._worker_deadline_s(request),
            key_frame_is_enough=True,
            unsettled_from_s=unsettled_from_s,
        )
        taken = await self._take(_Attempt(message), request.deadline_s)
        if reader in self._readers:
            self._readers[reader].losses = 0
        return taken

    def open_reader(
        self, source: VideoSource, ended: Callable[[], None], *, reading: Reading = nullcontext
    ) -> int:
        """Open a resident reader and return its number. Requests are possible at once.

        Args:
            source: what to read.
            ended: called once if the reader ends, except by `close_reader`. Must not wait.
            reading: counts the reader while it is connected.
        """
        number = next(self._numbers)
        user, password = _credentials(source)
        message = OpenReader(number, source.url, user, password, source.interval_s)
        self._readers[number] = _Reader(message, ended, _Connection(reading))
        if self._worker is not None:
            self._worker.send(message)
        self._wanted.set()
        return number

    def close_reader(self, reader: int) -> None:
        """Close the reader, if it has not ended."""
        self._used_s = self._clock.monotonic_s()
        if (closed := self._readers.pop(reader, None)) is None:
            return
        closed.connection.closed()
        if self._worker is not None:
            self._worker.send(CloseReader(reader))

    def _worker_deadline_s(self, request: CaptureRequest) -> float:
        left_s = request.deadline_s - self._clock.monotonic_s()
        return max(0.0, request.deadline_s - min(_MARGIN_S, left_s / 10))

    async def _take(self, attempt: _Attempt, deadline_s: float) -> Taken:
        self._check_accepts()
        number = attempt.message.request
        self._attempts[number] = attempt
        if self._worker is not None:
            self._worker.send(attempt.message)
        self._wanted.set()
        try:
            with anyio.move_on_after(max(0.0, deadline_s - self._clock.monotonic_s())):
                await attempt.answered.wait()
        finally:
            self._used_s = self._clock.monotonic_s()
            if attempt.connection is not None:
                attempt.connection.closed()
            if self._attempts.pop(number, None) is not None and self._worker is not None:
                self._worker.send(Cancel(number))
        if isinstance(attempt.answer, Taken):
            return attempt.answer
        raise attempt.answer or CaptureFailed(
            "No picture came before the deadline.",
            reason=Reason.TIMED_OUT,
            suggestion="Allow a larger deadline_ms.",
        )

    def _check_accepts(self) -> None:
        if not self._is_running:
            raise TierUnavailable("The decoder does not run yet.", suggestion="Try again in a moment.")
        if self._paused_until_s - self._clock.monotonic_s() > _FIRST_PAUSE_S:
            raise TierUnavailable(
                "The decoding process failed a moment ago, and is started again only later.",
                reason="recently_failed",
                suggestion="Read the agent's log for the reason.",
            )

    # The worker's life.

    async def _wait_work(self) -> None:
        while not (self._attempts or self._readers):
            self._wanted = anyio.Event()
            await self._wanted.wait()

    async def _serve(self) -> None:
        """Run one worker until it is not needed. Raises WorkerFailed."""
        self._has_delivered = False
        self._started_s = self._used_s = self._clock.monotonic_s()
        worker = WorkerRun(
            self._argv, limits=self._limits, receive=self._receive, is_unneeded=self._is_unneeded
        )
        self._worker = worker
        self.starts += 1
        worker.send(self._configure)
        for reader in self._readers.values():
            worker.send(reader.message)
        for attempt in self._attempts.values():
            worker.send(attempt.message)
        try:
            await worker.run()
        finally:
            self._worker = None
            for reader in self._readers.values():
                reader.connection.closed()

    def _is_unneeded(self, rss_bytes: int) -> bool:
        """Return True if nothing waits for the worker and it is idle or too large; readers are then opened again."""
        if self._attempts:
            return False
        now_s = self._clock.monotonic_s()
        if rss_bytes > self._limits.memory_bytes and now_s >= self._replaceable_s:
            _log.info("the decoding process is replaced: it needs %d MB", rss_bytes >> 20)
            if now_s - self._started_s > 2 * _LONGEST_PAUSE_S:
                self._replacements.reset()
            self._replaceable_s = now_s + self._replacements.next_s()
            return True
        return not self._readers and now_s - self._used_s >= self._limits.idle_s

    async def _pause(self, pauses: GrowingPauses) -> None:
        if self._has_delivered:
            pauses.reset()
            return
        pause_s = pauses.next_s()
        self._paused_until_s = self._clock.monotonic_s() + pause_s
        await self._clock.sleep(pause_s)

    def _lost(self, error: WorkerFailed) -> None:
        self._end_attempts(f"The decoding process failed. {error}")
        for each in self._readers.values():
            each.losses += 1
        self._end_readers([number for number, each in self._readers.items() if each.losses >= _LOSSES])

    def _end_attempts(self, details: str) -> None:
        for attempt in self._attempts.values():
            attempt.end(_worker_failed(details))
        self._attempts.clear()

    def _end_readers(self, readers: Sequence[int]) -> None:
        for number in readers:
            reader = self._readers.pop(number)
            reader.connection.closed()
            reader.ended()

    # Messages of the worker.

    def _receive(self, message: ToPlugin) -> None:
        match message:
            case Taken(request=number) | Failed(request=number):
                self._has_delivered = self._has_delivered or isinstance(message, Taken)
                if (attempt := self._attempts.pop(number, None)) is not None:
                    attempt.end(message if isinstance(message, Taken) else _error(message))
            case ReaderEnded(reader=number, details=details):
                _log.info("a resident reader ended: %s", details)
                if number in self._readers:
                    self._end_readers([number])
            case ReaderOpen(reader=number):
                if (reader := self._readers.get(number)) is not None:
                    reader.connection.opened()
            case StreamOpen(request=number):
                if (attempt := self._attempts.get(number)) is not None and attempt.connection is not None:
                    attempt.connection.opened()


def _credentials(source: VideoSource) -> tuple[str | None, str | None]:
    given = source.credentials
    return (None, None) if given is None else (given.user, given.password)


def _worker_failed(details: str) -> CaptureFailed:
    return CaptureFailed(
        details,
        reason=Reason.WORKER_FAILED,
        suggestion="Try again; if it fails again, read the agent's log.",
        dependency="decoder",
    )


def _error(message: Failed) -> CaptureFailed:
    kind: type[CaptureFailed] = CaptureFailed
    if message.reason in _READER_GONE:
        kind = ReaderGone
    elif message.reason in {Reason.NOT_LIVE, Reason.BUSY, Reason.MEDIA_SERVER_DOWN}:
        kind = TierUnavailable
    return kind(message.details, reason=message.reason, suggestion=message.suggestion)
