"""Decisions about quarantine, without I/O and with the time as an argument."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.base.errors import PluginError
from agent_core.plugin_host.watchdog.origins import PluginOrigin

__all__ = ("TIMES", "WINDOW_S", "Freeze", "Held", "Quarantine", "SuspendWatch", "was_suspended")

#: Number of freezes, within this many seconds, that put a plugin into quarantine.
TIMES, WINDOW_S = 3, 600.0
#: Greatest difference between the two clocks' advances on a host that was not suspended.
_TOLERANCE_S = 1.0
#: Time after a resume during which a freeze may be due to devices that come back.
_RESUME_GRACE_S = 120.0


class Freeze(BaseModel):
    """One occasion on which a plugin stopped the event loop.

    `at_s` is the time in seconds of CLOCK_BOOTTIME, which includes suspends, in the boot `boot_id`.
    """

    model_config = ConfigDict(frozen=True)

    plugin: str
    version: str
    settings: str
    place: str
    boot_id: str
    at_s: float

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.plugin, self.version, self.settings


class Held(BaseModel):
    """Plugin in quarantine, with this version and these settings."""

    model_config = ConfigDict(frozen=True)

    plugin: str
    version: str
    settings: str
    place: str
    since: datetime

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.plugin, self.version, self.settings

    def error(self) -> PluginError:
        """Return the error that explains why the plugin is not loaded."""
        return PluginError(
            f"The plugin '{self.plugin}' stopped the agent's event loop {TIMES} times within {WINDOW_S / 60:.0f} "
            f"minutes, last at {self.place}; it has been in quarantine since {self.since:%Y-%m-%d %H:%M} UTC.",
            reason="quarantined",
            suggestion="Install another version of the plugin or change its settings to end the quarantine, or start "
            'the agent once with health.quarantine = "never".',
        )


class Quarantine(BaseModel):
    """State kept between runs: freezes that may still count, and plugins in quarantine."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    freezes: tuple[Freeze, ...] = ()
    held: tuple[Held, ...] = ()

    def of(self, plugins: Sequence[PluginOrigin]) -> "Quarantine":
        """Return the state without entries for other versions or settings of `plugins`.

        Plugins that are not in `plugins`, because they are not enabled now, keep their entries.
        """
        current = {each.name: each.identity for each in plugins}

        def stays(each: Freeze | Held) -> bool:
            return current.get(each.plugin, each.identity) == each.identity

        return Quarantine(
            freezes=tuple(each for each in self.freezes if stays(each)),
            held=tuple(each for each in self.held if stays(each)),
        )

    def after(self, freeze: Freeze, now: datetime) -> "Quarantine":
        """Return the state with `freeze` added, and with its plugin in quarantine if that reaches the limit."""
        recent = tuple(
            each
            for each in self.freezes
            if each.boot_id == freeze.boot_id and abs(freeze.at_s - each.at_s) < WINDOW_S
        )
        same = [each for each in recent if each.identity == freeze.identity]
        if len(same) + 1 < TIMES:
            return Quarantine(freezes=(*recent, freeze), held=self.held)
        held = Held(
            plugin=freeze.plugin,
            version=freeze.version,
            settings=freeze.settings,
            place=freeze.place,
            since=now,
        )
        others = tuple(each for each in recent if each.identity != freeze.identity)
        kept = tuple(each for each in self.held if each.plugin != freeze.plugin)
        return Quarantine(freezes=others, held=(*kept, held))

    def count(self, freeze: Freeze) -> int:
        """Return the number of stored freezes of the same plugin."""
        return sum(each.identity == freeze.identity for each in self.freezes)


class SuspendWatch:
    """Detector of suspends of the host. It compares two clocks, one of which stops during a suspend.

    Args:
        monotonic_s: CLOCK_MONOTONIC, which stops.
        boottime_s: CLOCK_BOOTTIME, which does not.
    """

    def __init__(self, monotonic_s: float, boottime_s: float) -> None:
        self._offset_s = boottime_s - monotonic_s
        self._resumed_at_s = -math.inf

    @property
    def offset_s(self) -> float:
        """Total time that the host has been suspended since it was booted."""
        return self._offset_s

    def is_fresh(self, monotonic_s: float, boottime_s: float) -> bool:
        """Update the clocks and return whether the host was resumed a moment ago."""
        if was_suspended(self._offset_s, monotonic_s, boottime_s):
            self._offset_s = boottime_s - monotonic_s
            self._resumed_at_s = monotonic_s
        return monotonic_s - self._resumed_at_s < _RESUME_GRACE_S


def was_suspended(offset_s: float, monotonic_s: float, boottime_s: float) -> bool:
    """Return whether the host was suspended since the two clocks were `offset_s` apart."""
    return abs((boottime_s - monotonic_s) - offset_s) > _TOLERANCE_S
