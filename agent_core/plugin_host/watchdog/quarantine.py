"""Decisions about quarantine, as values that are told the time: no file is read here, and no clock."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from agent_core.base.errors import PluginError
from agent_core.plugin_host.watchdog.origins import PluginOrigin

__all__ = ("TIMES", "WINDOW_S", "Freeze", "Held", "Quarantine", "SuspendWatch", "was_suspended")

#: So many freezes of one plugin within so many seconds put it into quarantine.
TIMES, WINDOW_S = 3, 600.0
#: The two clocks of a host that was not suspended may be read this far apart.
_TOLERANCE_S = 1.0
#: For so long after the host was resumed a freeze may be due to devices that come back.
_RESUME_GRACE_S = 120.0


class Freeze(BaseModel):
    """One time that a plugin kept the event loop from running.

    `at_s` is on the clock that goes on while the host is suspended (CLOCK_BOOTTIME), in the boot `boot_id`.
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
    """One plugin in quarantine, of this version and with these settings, since then."""

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
        """Return why the plugin is not loaded, and what to do."""
        return PluginError(
            f"The plugin '{self.plugin}' stopped the agent's event loop {TIMES} times within {WINDOW_S / 60:.0f} "
            f"minutes, last at {self.place}; it is in quarantine since {self.since:%Y-%m-%d %H:%M} UTC.",
            reason="quarantined",
            suggestion="Another version or other settings of the plugin end the quarantine; so does one start with "
            'health.quarantine = "never".',
        )


class Quarantine(BaseModel):
    """State kept between runs: freezes that may count, and plugins in quarantine."""

    model_config = ConfigDict(frozen=True)

    freezes: tuple[Freeze, ...] = ()
    held: tuple[Held, ...] = ()

    def of(self, plugins: Sequence[PluginOrigin]) -> "Quarantine":
        """Return this without what was said of another version, or other settings, of one of `plugins`.

        A plugin that is not among them, because it is not enabled now, keeps its entry.
        """
        current = {each.name: each.identity for each in plugins}

        def stays(each: Freeze | Held) -> bool:
            return current.get(each.plugin, each.identity) == each.identity

        return Quarantine(
            freezes=tuple(each for each in self.freezes if stays(each)),
            held=tuple(each for each in self.held if stays(each)),
        )

    def after(self, freeze: Freeze, now: datetime) -> "Quarantine":
        """Return this with one freeze more, and with its plugin in quarantine if that was one too many."""
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
        """Return how many freezes of the same plugin are remembered."""
        return sum(each.identity == freeze.identity for each in self.freezes)


class SuspendWatch:
    """Tells from two clocks, of which one stands still while the host is suspended, whether it was.

    Args:
        monotonic_s: CLOCK_MONOTONIC, which stands still.
        boottime_s: CLOCK_BOOTTIME, which goes on.
    """

    def __init__(self, monotonic_s: float, boottime_s: float) -> None:
        self._offset_s = boottime_s - monotonic_s
        self._resumed_at_s = float("-inf")

    @property
    def offset_s(self) -> float:
        """How long the host has been suspended since it was booted."""
        return self._offset_s

    def is_fresh(self, monotonic_s: float, boottime_s: float) -> bool:
        """Take in the time; return whether the host was resumed a moment ago."""
        if was_suspended(self._offset_s, monotonic_s, boottime_s):
            self._offset_s = boottime_s - monotonic_s
            self._resumed_at_s = monotonic_s
        return monotonic_s - self._resumed_at_s < _RESUME_GRACE_S


def was_suspended(offset_s: float, monotonic_s: float, boottime_s: float) -> bool:
    """Return whether the host was suspended since the two clocks were `offset_s` apart."""
    return abs((boottime_s - monotonic_s) - offset_s) > _TOLERANCE_S
