"""Sessions of WebRTC that clients have made, each followed until its client may view no longer."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, NotFound
from agent_core.base.models import CameraId
from agent_core.base.waiting import GrowingPauses, first_of

__all__ = ("MOST_SESSIONS", "WhepSessions")

_LOG = logging.getLogger("camera_agent.media_server")
#: Most sessions followed. The oldest make room: the media server does not tell of those that have ended by themselves.
MOST_SESSIONS = 1000
#: Pauses between attempts to end a session.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


@dataclass(frozen=True, eq=False, slots=True)
class _Followed:
    """Session with the event that ends it at once, and the scope of the task that follows it."""

    over: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class WhepSessions:
    """Follower of sessions. Ends each at the media server when its client's access ends.

    The composition root runs `run`.

    Args:
        end: ends a session; raises NotFound if it has ended, and another AgentError if it should be tried again.
        clock: times the attempts.
    """

    def __init__(self, end: Callable[[CameraId, str], Awaitable[object]], clock: Clock) -> None:
        self._end = end
        self._clock = clock
        self._followed: dict[tuple[CameraId, str], _Followed] = {}
        self._tasks: TaskGroup | None = None

    def __len__(self) -> int:
        return len(self._followed)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Follow sessions until cancelled, which leaves them to the media server."""
        try:
            async with anyio.create_task_group() as self._tasks:
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tasks = None

    def follow(self, camera: CameraId, session: str, until_over: Callable[[], Awaitable[None]]) -> None:
        """End a session once `until_over` returns, or when `MOST_SESSIONS` newer ones have come.

        Raises:
            RuntimeError: `run` does not run.
        """
        if self._tasks is None:
            raise RuntimeError("the sessions are not followed yet")
        if len(self._followed) >= MOST_SESSIONS:
            self._followed.pop(next(iter(self._followed))).over.set()
        followed = self._followed[camera, session] = _Followed()
        self._tasks.start_soon(self._follow, camera, session, followed, until_over)

    def forget(self, camera: CameraId, session: str) -> None:
        """Note that a session has ended."""
        if (followed := self._followed.pop((camera, session), None)) is not None:
            followed.scope.cancel()

    async def _follow(
        self, camera: CameraId, session: str, followed: _Followed, until_over: Callable[[], Awaitable[None]]
    ) -> None:
        with followed.scope:
            await first_of(until_over, followed.over.wait)
            await self._end_at_last(camera, session)
            self._followed.pop((camera, session), None)

    async def _end_at_last(self, camera: CameraId, session: str) -> None:
        """End a session; try again until the media server answers."""
        pauses, is_told = GrowingPauses(_PAUSE_S, _LONGEST_PAUSE_S), False
        while (problem := await self._attempt(camera, session)) is not None:
            if not is_told:
                _LOG.warning("cannot end a WebRTC session of %s; trying again: %s", camera, problem.details)
            is_told = True
            await self._clock.sleep(pauses.next_s())

    async def _attempt(self, camera: CameraId, session: str) -> AgentError | None:
        """End a session; return the problem after which it should be tried again."""
        try:
            await self._end(camera, session)
        except NotFound:
            return None
        except AgentError as error:
            return error
        except Exception:  # noqa: BLE001 - a fault in one session must not end the others
            _LOG.exception("a WebRTC session of %s could not be ended", camera)
        return None
