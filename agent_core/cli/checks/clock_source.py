"""Check that this host's clock is synchronised. A module of its own, as the other checks of `doctor` are."""

from agent_core.base.clock_sync import ClockReading
from agent_core.plugin import Finding, FindingStatus

__all__ = ("look_at_synchronisation",)


def look_at_synchronisation(reading: ClockReading | None) -> list[Finding]:
    """Return the finding for a reading; none without one."""
    if reading is None:
        return []
    if reading.is_synchronised:
        error_s = reading.largest_error_us / 1e6
        detail = f"The clock is synchronised, to within {error_s:.3g} s by the kernel's estimate."
        return [Finding("clock source", FindingStatus.OK, detail)]
    return [
        Finding(
            "clock source",
            FindingStatus.WARNING,
            "The clock is not synchronised: no time service has set it lately.",
            "Run `timedatectl set-ntp true`, or install one: `apt install systemd-timesyncd`. Tokens, file names and "
            "deletion by age use the clock.",
        )
    ]
