"""Conversions of pictures: few at once, shared by equal requests, abandoned when their callers have gone."""

import logging
import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.models import Picture
from agent_core.snapshots import images
from agent_core.snapshots.images import Wanted

__all__ = ("PictureConverter", "Renderer")

_log = logging.getLogger("camera_agent.snapshots")

#: Most conversions at once, if there are as many processors: more would only take memory.
_MAX_THREADS = 2
#: Conversions that may wait: of one user (as many as a connection has concurrent calls), and of all users.
MAX_WAITING_EACH, MAX_WAITING = 32, 64
#: `retry_after_ms` of a refused conversion.
_BUSY_RETRY_MS = 1000


#: Converts in a thread; arguments and errors are those of `images.render`.
Renderer = Callable[[Picture, Wanted, int, Callable[[], bool]], Picture]


@dataclass(eq=False)
class _Job:
    """One conversion with the number of callers that wait for it; `user` sent the first request."""

    picture: Picture
    wanted: Wanted
    user: str
    callers: int = 0
    outcome: Picture | AgentError | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> Hashable:
        """Return a key that is equal for equal requests. The job keeps the data alive, so their id stays unique."""
        return id(self.picture.data), self.wanted

    @property
    def pixels(self) -> int:
        return self.picture.width * self.picture.height

    def result(self) -> Picture:
        if isinstance(self.outcome, AgentError):
            raise self.outcome
        if self.outcome is None:
            raise CaptureFailed("The agent is ending.", reason="agent_ending")
        return self.outcome


class PictureConverter:
    """Converts pictures in its own threads while `run` runs.

    A thread cannot be stopped from outside. A conversion whose callers have all gone, or whose deadline has passed,
    ends at its next read or write; until then it keeps its thread and its share of the pixels, so memory stays
    bounded. A waiting one is dropped. Cancelling one caller does not affect others with the same request. Users take
    turns, however many requests each sends.

    Args:
        max_pixels: limit of the source pixels of one picture, and of all pictures converted at once.
        clock: measures the time to a deadline.
        threads: number of concurrent conversions.
        render: converts one picture.
    """

    def __init__(
        self,
        *,
        max_pixels: int,
        clock: Clock,
        threads: int = min(_MAX_THREADS, os.cpu_count() or 1),
        render: Renderer = images.render,
    ) -> None:
        self._max_pixels = max_pixels
        self._clock = clock
        self._threads = threads
        self._render = render
        self._limiter = anyio.CapacityLimiter(threads)
        self._jobs: dict[Hashable, _Job] = {}
        self._waiting: list[_Job] = []
        self._pixels = 0
        self._turns: dict[str, int] = {}
        self._changed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Convert until cancelled; return when the last thread has ended."""
        async with anyio.create_task_group() as tg:
            for _ in range(self._threads):
                tg.start_soon(self._work)
            task_status.started()
            try:
                await anyio.sleep_forever()
            finally:
                for job in self._jobs.values():
                    job.abandoned.set()

    async def convert(
        self, picture: Picture, wanted: Wanted, *, deadline_s: float, user: str = ""
    ) -> Picture:
        """Return `picture` converted to `wanted`; the picture itself if it already fits.

        Args:
            picture: a JPEG or PNG.
            wanted: size, format and quality.
            deadline_s: when the caller stops waiting (monotonic seconds).
            user: the caller, for the turns.

        Raises:
            CaptureFailed: as `images.render`, or `deadline_exceeded`.
            RateLimited: `busy`: too many conversions wait, of this user or of all users.
        """
        if wanted.is_met_by(picture):
            return picture
        job = self._job(_Job(picture, wanted, user))
        job.callers += 1
        try:
            with anyio.move_on_after(deadline_s - self._clock.monotonic_s()):
                await job.done.wait()
        finally:
            job.callers -= 1
            if not job.callers:
                self._forget(job)
        if job.done.is_set():
            return job.result()
        raise CaptureFailed(
            "The picture was taken but not converted before the deadline.",
            reason="deadline_exceeded",
            suggestion="Allow a larger deadline_ms, or ask for a JPEG without quality, width and height.",
        )

    def _job(self, new: _Job) -> _Job:
        """Return the job of an equal request, or else queue `new` and return it."""
        if (known := self._jobs.get(new.key)) is not None:
            return known
        own = sum(job.user == new.user for job in self._waiting)
        if own >= MAX_WAITING_EACH or len(self._waiting) >= MAX_WAITING:
            raise RateLimited(
                f"{len(self._waiting)} pictures wait to be converted, {own} of them for this user.",
                retry_after_ms=_BUSY_RETRY_MS,
                reason="busy",
            )
        self._jobs[new.key] = new
        self._waiting.append(new)
        self._look_again()
        return new

    def _forget(self, job: _Job) -> None:
        """Drop a job without callers: remove it from the queue, or abandon it in its thread."""
        job.abandoned.set()
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]
        if job in self._waiting:
            self._waiting.remove(job)
            self._look_again()

    def _look_again(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _work(self) -> None:
        while True:
            while (job := self._startable()) is None:
                await self._changed.wait()
            self._begin(job)
            try:
                job.outcome = await self._outcome(job)
            finally:
                self._pixels -= job.pixels
                job.done.set()
                self._look_again()

    def _begin(self, job: _Job) -> None:
        self._waiting.remove(job)
        self._pixels += job.pixels
        self._turns[job.user] = max(self._turns.values(), default=0) + 1

    def _startable(self) -> _Job | None:
        """Return the next job if its pixels fit beside those under way, or if none are under way.

        The next job is the oldest of the user whose last turn is longest ago.
        """
        if not self._waiting:
            self._turns.clear()
            return None
        job = min(self._waiting, key=lambda each: self._turns.get(each.user, 0))
        return job if not self._pixels or self._pixels + job.pixels <= self._max_pixels else None

    async def _outcome(self, job: _Job) -> Picture | AgentError | None:
        try:
            return await anyio.to_thread.run_sync(
                self._render,
                job.picture,
                job.wanted,
                self._max_pixels,
                job.abandoned.is_set,
                limiter=self._limiter,
            )
        except AgentError as error:
            return error
        except images.ConversionAbandoned:
            return None
        except Exception:  # noqa: BLE001 - one picture's failure must not end the service
            _log.exception("a picture could not be converted")
            return CaptureFailed("The picture could not be converted.", reason="picture_damaged")
