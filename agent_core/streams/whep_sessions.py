"""Sessions of WebRTC that clients have made, each followed until its client may view no longer."""

import logging
from collections.abc import Awaitable, Callable, Container
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, NotFound
from agent_core.base.models import CameraId
from agent_core.base.waiting import GrowingPauses

__all__ = ("MediaServerSessions", "WhepSessions")

_LOG = logging.getLogger("camera_agent.media_server")
#: Interval at which the media server is asked which sessions it still has. MediaMTX ends one whose client never
#: connects, or is silent, after about 10 s.
_LOOK_S = 10.0
#: Pauses between attempts to end a session.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
#: Time to end all sessions when the agent ends.
_FAREWELL_S = 2.0


@dataclass(frozen=True, eq=False, slots=True)
class _Followed:
    """Session with its id at the media server, what is held for it, and the scope of the task that follows it."""

    id: str | None
    holds: AbstractContextManager[object]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class MediaServerSessions(Protocol):
    """Sessions at the media server. Both methods raise AgentError if it does not answer."""

    async def end(self, camera: CameraId, session: str) -> None:
        """End a session; raises NotFound if it has ended."""
        ...

    async def ids(self) -> Container[str]:
        """Return the ids of all sessions that exist."""
        ...


class WhepSessions:
    """Follower of sessions. Ends each at the media server when its client's access ends, and all when the agent ends.

    The composition root runs `run`.

    Args:
        server: knows and ends the sessions.
        clock: times the attempts.
    """

    def __init__(self, server: MediaServerSessions, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._followed: dict[tuple[CameraId, str], _Followed] = {}
        self._came = anyio.Event()
        self._tasks: TaskGroup | None = None

    def __len__(self) -> int:
        return len(self._followed)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Follow sessions until cancelled; then end them, within `_FAREWELL_S`: no one would do so later."""
        try:
            async with anyio.create_task_group() as self._tasks:
                task_status.started()
                await self._look()
        finally:
            self._tasks = None
            with anyio.move_on_after(_FAREWELL_S, shield=True):
                await self._end_all()
            for key in list(self._followed):
                self.forget(*key)

    def follow(
        self,
        camera: CameraId,
        session: str,
        until_over: Callable[[], Awaitable[None]],
        *,
        session_id: str | None = None,
        holds: AbstractContextManager[object] | None = None,
    ) -> None:
        """End a session once `until_over` returns.

        Args:
            camera: the camera that it shows.
            session: its secret name, by which it is ended.
            until_over: returns when its client may view no longer.
            session_id: its id in the media server's lists; None for a server that does not tell it, whose sessions are
                followed until `until_over` returns or their clients end them.
            holds: left once the session has ended.

        Raises:
            RuntimeError: `run` does not run.
        """
        if self._tasks is None:
            raise RuntimeError("the sessions are not followed yet")
        followed = self._followed[camera, session] = _Followed(session_id, holds or nullcontext())
        self._came.set()
        self._tasks.start_soon(self._follow, camera, session, followed, until_over)

    def forget(self, camera: CameraId, session: str) -> None:
        """Note that a session has ended."""
        if (followed := self._followed.pop((camera, session), None)) is not None:
            followed.scope.cancel()
            followed.holds.__exit__(None, None, None)

    async def _follow(
        self, camera: CameraId, session: str, followed: _Followed, until_over: Callable[[], Awaitable[None]]
    ) -> None:
        with followed.scope:
            await until_over()
            await self._end_at_last(camera, session)
            self.forget(camera, session)

    async def forget_ended(self) -> None:
        """Forget the sessions that the media server has no more; none if it does not answer."""
        # Those that come while the media server answers may not be in its answer yet.
        known = dict(self._followed)
        try:
            ids = await self._server.ids()
        except AgentError as error:
            _LOG.debug("the WebRTC sessions are not known: %s", error.details)
            return
        for key, each in known.items():
            if each.id is not None and each.id not in ids and self._followed.get(key) is each:
                self.forget(*key)

    async def _look(self) -> None:
        """Look again and again for sessions that have ended by themselves."""
        while True:
            if not self._followed:
                self._came = anyio.Event()
                await self._came.wait()
            await self._clock.sleep(_LOOK_S)
            await self.forget_ended()

    async def _end_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            for key in list(self._followed):
                tasks.start_soon(self._attempt, *key)

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
            await self._server.end(camera, session)
        except NotFound:
            return None
        except AgentError as error:
            return error
        except Exception:  # noqa: BLE001 - a fault in one session must not end the others
            _LOG.exception("a WebRTC session of %s could not be ended", camera)
        return None
