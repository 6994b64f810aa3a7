"""How long a camera may be silent, and what is done about it; sans-I/O."""

from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction

from agent_core.plugin.frames import BrokerSettings
from v4l2_tier.device.modes import ChosenMode
from v4l2_tier.settings import CaptureSettings

__all__ = ("RecoveryLadder", "Silence", "Step", "broker_settings")

#: A problem that comes back within this time is the same problem: the next step is taken, not the first again.
_HEALTHY_S = 30.0
#: For stopping, closing, opening and starting on a slow board.
_STEPS_S = 4.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds without a good frame after which the camera is taken to hang.

    A camera may take seconds to its `first` frame (sensor start, exposure). `between` two it has a few intervals, which
    covers one that lengthens its exposure in the dark, and two seconds, in which a busy board may not get to it: a
    needless restart costs more than a late one. `again` is the first frame after a restart.
    """

    first_s: float
    between_s: float
    again_s: float

    @classmethod
    def of(cls, interval: Fraction) -> "Silence":
        frames_s = 5 * float(interval)
        return cls(first_s=4.0 + frames_s, between_s=max(2.0, frames_s), again_s=2.0 + frames_s)


class Step(Enum):
    RESTART = auto()
    REOPEN = auto()
    GIVE_UP = auto()


class RecoveryLadder:
    """Restart the stream, then open the device anew, then leave it to the broker and its growing pauses."""

    def __init__(self) -> None:
        self._taken = 0
        self._last_s = float("-inf")

    def next(self, now_s: float) -> Step:
        """The step to take for a problem at `now_s` (monotonic)."""
        if now_s - self._last_s > _HEALTHY_S:
            self._taken = 0
        step = tuple(Step)[min(self._taken, len(Step) - 1)]
        self._taken += 1
        self._last_s = now_s
        return step


def broker_settings(settings: CaptureSettings, chosen: ChosenMode) -> BrokerSettings:
    """The broker's own limits are beyond those of the ladder with what its steps take, which so come first.

    Frames without a usable device time were exposed up to two intervals before they came: one of exposure, one of
    reading out and transfer.
    """
    silence = Silence.of(chosen.interval)
    retries_s = 2 * silence.again_s + _STEPS_S
    usual = BrokerSettings()
    return BrokerSettings(
        warm_ttl_s=settings.warm_ttl_s,
        parked_ttl_s=settings.parked_ttl_s,
        stall_s=silence.between_s + retries_s,
        first_frame_s=silence.first_s + retries_s,
        pipeline_latency_s=max(usual.pipeline_latency_s, 2 * float(chosen.interval)),
    )
