"""A held stream of one camera: its holders, its state, and its RTSP hold."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, InvalidState
from agent_core.base.models import CameraId, MediaInput
from agent_core.base.waiting import sleep_unless
from agent_core.streams.models import StreamState

if TYPE_CHECKING:
    from agent_core.mediamtx.rtsp_hold import Hold
    from agent_core.plugin.rtsp import Credentials

__all__ = ("HeldStream", "hold_of", "stopped")

#: Added to the server's start time-out, so that the server answers before our own time-out.
START_MARGIN_S = 2.0


@dataclass
class HeldStream:
    """One camera's hold. `changed` is set and replaced whenever `state` or `problem` changes.

    `live_s` (monotonic) is the time of the last change to ACTIVE. The state is INACTIVE once the last lease is released.
    Setting `wanted` ends the pause before the next attempt: a holder joined, the stream is published again, the
    camera is connected again, or the server answers again.
    `attempt` is the current or last attempt, `opened` the camera's input as that attempt found it.
    """

    camera: CameraId
    holders: set[str] = field(default_factory=set)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    state: StreamState = StreamState.STARTING
    live_s: float = 0.0
    problem: AgentError | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    wanted: anyio.Event = field(default_factory=anyio.Event)
    attempt: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    opened: MediaInput | None = None

    def became(self, state: StreamState, problem: AgentError | None = None) -> None:
        """Set the state and wake the tasks that wait for `changed`."""
        self.state, self.problem = state, problem
        self.changed.set()
        self.changed = anyio.Event()

    async def wait_live(self) -> None:
        """Return when the stream is live.

        Raises:
            AgentError: the stream could not be started, or `stopped`: the last lease was released.
        """
        while self.state is not StreamState.ACTIVE:
            if self.state is StreamState.INACTIVE:
                raise self.problem or stopped()
            if self.state is StreamState.ERROR and self.problem is not None:
                raise self.problem
            await self.changed.wait()

    def try_again(self) -> None:
        """End the attempt or the pause, and begin the next attempt at once."""
        self.attempt.cancel()
        self.wanted.set()

    async def pause(self, pause_s: float, clock: Clock) -> bool:
        """Sleep for `pause_s` or until `wanted`; return True if `wanted` ended it."""
        self.wanted = anyio.Event()
        await sleep_unless(clock, pause_s, self.wanted)
        return self.wanted.is_set()


def stopped() -> InvalidState:
    """Return the error for waits on a stream whose last lease was released."""
    return InvalidState(
        "The stream was stopped before it was live.",
        state="INACTIVE",
        allowed_states=("STARTING", "ACTIVE"),
        reason="stopped",
        suggestion="Start it again.",
    )


def hold_of(url: str, credentials: "Credentials | None", server_timeout_s: float) -> "Hold":
    """Make a hold of the path at `url`; it is not open yet.

    MediaMTX never answers a client that asks while it closes the path, so the wait ends START_MARGIN_S after
    `server_timeout_s`, the server's own start time-out. The RTSP client is imported with the first hold.
    """
    from agent_core.mediamtx.rtsp_hold import Hold

    return Hold(url, credentials=credentials, start_timeout_s=server_timeout_s + START_MARGIN_S)
