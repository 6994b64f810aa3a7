"""Clocks of the host."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ("UNKNOWN_BOOT", "HostTimes", "host_times")

#: `boot_id` where the host does not tell it.
UNKNOWN_BOOT = "unknown"


@dataclass(frozen=True, slots=True)
class HostTimes:
    """Clocks of the host at one moment, in seconds. `boot_id` identifies the boot.

    `boottime_s` counts while the host is suspended, `monotonic_s` does not; neither can be set.
    """

    boot_id: str
    monotonic_s: float
    boottime_s: float
    now: datetime


def host_times() -> HostTimes:
    """Return the host's clocks."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # a container without it
        boot_id = UNKNOWN_BOOT
    boottime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return HostTimes(boot_id, time.monotonic(), boottime_s, datetime.now(UTC))
