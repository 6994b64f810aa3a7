"""One camera's held stream: who has a lease, and how it is."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, InvalidState
from agent_core.base.models import CameraId
from agent_core.base.waiting import sleep_unless
from agent_core.streams.models import StreamState

if TYPE_CHECKING:
    from agent_core.mediamtx.rtsp_hold import Hold
    from agent_core.plugin.rtsp import Credentials

__all__ = ("HeldStream", "LiveStatus", "hold_of", "stopped")

#: Over the server's start time-out, so that its answer is the one that is seen.
START_MARGIN_S = 2.0


@dataclass
class HeldStream:
    """One camera's hold; `state` and `problem` change with it, `changed` is set and replaced at each change.

    It is INACTIVE once the last lease is gone. `wanted` ends the pause before the next attempt: somebody new wants the stream, it is published again, or the
    server is back.
    """

    camera: CameraId
    holders: set[str] = field(default_factory=set)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    state: StreamState = StreamState.STARTING
    problem: AgentError | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    wanted: anyio.Event = field(default_factory=anyio.Event)

    def became(self, state: StreamState, problem: AgentError | None = None) -> None:
        self.state, self.problem = state, problem
        self.changed.set()
        self.changed = anyio.Event()

    async def wait_live(self) -> None:
        """Return when it is live.

        Raises:
            AgentError: why it could not be started; or `stopped`: nobody has a lease any more.
        """
        while self.state is not StreamState.ACTIVE:
            if self.state is StreamState.INACTIVE:
                raise self.problem or stopped()
            if self.state is StreamState.ERROR and self.problem is not None:
                raise self.problem
            await self.changed.wait()

    async def pause(self, pause_s: float, clock: Clock) -> bool:
        """Whether it was ended by `wanted`."""
        self.wanted = anyio.Event()
        await sleep_unless(clock, pause_s, self.wanted)
        return self.wanted.is_set()


def stopped() -> InvalidState:
    """What is told to who waits for a stream that everybody let go of."""
    return InvalidState(
        "The stream was stopped before it was live.",
        state="INACTIVE",
        allowed_states=("STARTING", "ACTIVE"),
        reason="stopped",
        suggestion="Start it again.",
    )


class LiveStatus:
    """The `task_status` of a hold: the stream is live."""

    def __init__(self, held: HeldStream, sessions: Counter[CameraId]) -> None:
        self._held = held
        self._sessions = sessions
        self.was_live = False

    def started(self, _value: None = None) -> None:
        self.was_live = True
        self._sessions[self._held.camera] += 1
        self._held.became(StreamState.ACTIVE)

    def ended(self) -> None:
        if self.was_live:
            self._sessions[self._held.camera] -= 1


def hold_of(url: str, credentials: "Credentials | None", server_timeout_s: float) -> "Hold":
    """Make a hold of the path at `url`, not open yet.

    MediaMTX never answers a client that asks while it closes the path, so the wait ends soon after `server_timeout_s`,
    the server's own start time-out. The RTSP client is imported with the first hold.
    """
    from agent_core.mediamtx.rtsp_hold import Hold

    return Hold(url, credentials=credentials, start_timeout_s=server_timeout_s + START_MARGIN_S)
