"""What a frame broker is told, and what it tells about itself."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats")


class BrokerState(StrEnum):
    COLD = "cold"
    PARKED = "parked"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How long a broker keeps, waits and gives up.

    `stall_s`: no good frame for so long while streaming means that the producer hangs; `first_frame_s` is the same
    from its start. A parked producer is closed after `parked_ttl_s`. After a failure it is left alone for
    `backoff_s`, doubled with each further failure up to `backoff_limit_s`. `pipeline_latency_s` is what is taken off
    the arrival time of frames that come without a capture time.
    """

    ring_frames: int = 4
    warm_ttl_s: float = 10.0
    parked_ttl_s: float = 60.0
    stall_s: float = 4.0
    first_frame_s: float = 10.0
    pipeline_latency_s: float = 0.2
    backoff_s: float = 0.25
    backoff_limit_s: float = 8.0


@dataclass(frozen=True, slots=True)
class BrokerStats:
    """Counts since the agent started; `dropped` by the reason why a frame was not used."""

    frames: int
    starts: int
    stalls: int
    failures: int
    dropped: tuple[tuple[str, int], ...]
