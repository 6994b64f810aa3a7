"""Limits of a camera's silence, and the recovery steps beyond them; sans-I/O."""

from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction

from agent_core.plugin.frames import BrokerSettings
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.settings import CaptureSettings

__all__ = ("RecoveryLadder", "Silence", "Step", "broker_settings")

#: A problem that returns within this time counts as the same problem: the ladder continues at the next step.
_HEALTHY_S = 30.0
#: Time to stop, close, open and start on a slow board.
_STEPS_S = 4.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds without a good frame after which the camera counts as stalled.

    `first_s` allows seconds for the start of the sensor and its exposure. `between_s` allows five intervals, for a
    camera that lengthens its exposure in the dark, and at least 2 s, for a busy board: a needless restart costs more
    than a late one. `again_s` applies to the first frame after a restart.
    """

    first_s: float
    between_s: float
    again_s: float

    @classmethod
    def of(cls, interval: Fraction) -> "Silence":
        """Return the limits for a camera with `interval` (seconds) between frames."""
        frames_s = 5 * float(interval)
        return cls(first_s=4.0 + frames_s, between_s=max(2.0, frames_s), again_s=2.0 + frames_s)


class Step(Enum):
    """Steps of recovery, mildest first; a change of format takes the place of a later one."""

    RESTART = auto()
    CHANGE_FORMAT = auto()
    REOPEN = auto()
    GIVE_UP = auto()


#: The steps for a problem that stays.
_LADDER = (Step.RESTART, Step.REOPEN, Step.GIVE_UP)


class RecoveryLadder:
    """Recovery: restart the stream, then reopen the device, then leave it to the broker and its growing pauses."""

    def __init__(self) -> None:
        self._taken = 0
        self._last_s = float("-inf")

    def next(self, now_s: float) -> Step:
        """Return the step to take for a problem at `now_s` (monotonic)."""
        if now_s - self._last_s > _HEALTHY_S:
            self._taken = 0
        step = _LADDER[min(self._taken, len(_LADDER) - 1)]
        self._taken += 1
        self._last_s = now_s
        return step


def broker_settings(
    settings: CaptureSettings, chosen: ChosenMode, *, is_virtual: bool = False
) -> BrokerSettings:
    """Return the broker's settings; its limits leave time for the whole recovery ladder.

    A device without hardware (`is_virtual`) is closed when its stream ends: v4l2loopback keeps its format for as long as it is
    open, also for another writer, and opening it costs no time.

    The pipeline latency, for frames without a usable device time, is at least two intervals: one for the exposure, one
    for readout and transfer.
    """
    silence = Silence.of(chosen.interval)
    retries_s = 2 * silence.again_s + _STEPS_S
    usual = BrokerSettings()
    return BrokerSettings(
        warm_ttl_s=settings.warm_ttl_s,
        parked_ttl_s=0 if is_virtual else settings.parked_ttl_s,
        stall_s=silence.between_s + retries_s,
        first_frame_s=silence.first_s + retries_s,
        pipeline_latency_s=max(usual.pipeline_latency_s, 2 * float(chosen.interval)),
    )
