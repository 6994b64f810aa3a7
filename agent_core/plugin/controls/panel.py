"""Control panel of a device with synchronous calls."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType

import anyio

from agent_core.base.controls import (
    ChangedControls,
    Control,
    ControlChange,
    ControlFlag,
    ControlOutcome,
    ControlStatus,
    ControlValue,
    kept_after,
)
from agent_core.base.errors import CaptureFailed
from agent_core.base.workers import WorkerPool
from agent_core.plugin.controls.setting import (
    ControlPort,
    Settled,
    Wish,
    reset_controls,
    set_controls,
    wishes_of,
)

__all__ = ("DevicePanel",)

_log = logging.getLogger("camera_agent.controls")

_NOTHING: Mapping[str, ControlValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Configured and kept values: the wishes by the controls' own names, the names of kept ones, and the refusals."""

    wishes: dict[str, Wish]
    kept: frozenset[str]
    refused: tuple[ControlOutcome, ...]


def _note(outcome: ControlOutcome) -> str:
    return f"control {outcome.name}: {outcome.reason[0].lower()}{outcome.reason[1:].rstrip('.')}"


def _in_order(
    values: Mapping[str, ControlValue], outcomes: Iterable[ControlOutcome]
) -> tuple[ControlOutcome, ...]:
    """Return the outcomes in the order of the request, and after them those that it does not name."""
    places = {name: place for place, name in enumerate(values)}
    return tuple(sorted(outcomes, key=lambda each: places.get(each.asked or each.name, len(places))))


class DevicePanel:
    """`ControlPanel` of one device, as long as it is connected; its camera source makes a new one after a replug.

    The source runs `run` beside the camera, gives the panel with each report of the camera, and calls `settle` whenever
    it has opened the device or started its stream, followed by `tell`.

    A control that the device does not answer is left out from then on, until a client asks for it by name: each attempt
    may take seconds, which would delay the pictures.

    Args:
        controls: the controls as they were probed.
        open_port: opens the device for controls only; called in a worker thread. The context closes it.
        report: receives new outcomes and values, in the event loop.
        configured: values from the configuration; those that clients set come before them.
    """

    def __init__(
        self,
        controls: Sequence[Control],
        open_port: Callable[[], AbstractContextManager[ControlPort]],
        *,
        report: Callable[[ChangedControls], object],
        configured: Mapping[str, ControlValue] = _NOTHING,
    ) -> None:
        self._controls = {each.name: each for each in controls}
        self._open_port = open_port
        self._report = report
        self._configured = dict(configured)
        self._kept: dict[str, ControlValue] = {}
        self._silent = frozenset(each.name for each in controls if ControlFlag.UNREADABLE in each.flags)
        self._threads = WorkerPool(1)
        #: Held while a thread uses the device: the camera's capture and a client may set controls at once.
        self._lock = threading.Lock()
        self._has_new = anyio.Event()
        self._news: tuple[ControlOutcome, ...] = ()
        #: The kept values that were last reported as not in effect.
        self._missed: tuple[ControlOutcome, ...] = ()

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls as they were last read."""
        return tuple(self._controls.values())

    @property
    def has_wishes(self) -> bool:
        """True if the device has values to be set."""
        return bool(self._configured or self._kept)

    def keep(self, values: Mapping[str, ControlValue]) -> None:
        """Take over the kept values; `run` sets them."""
        if dict(values) != self._kept:
            self._kept = dict(values)
            self._has_new.set()

    async def run(self) -> None:
        """Set kept values as soon as they are given, and report all their outcomes, until cancelled."""
        while True:
            await self._has_new.wait()
            self._has_new = anyio.Event()
            try:
                await self._threads.run_abandonable(self._settle_alone)
            except CaptureFailed as error:  # the next opening of the device sets them
                _log.debug("kept controls were not set: %s", error.details)
            else:
                self._tell(self._news)

    def _settle_alone(self) -> None:
        with self._lock, self._open_port() as port:
            self._settle(port, rewrite=True)

    def settle(self, port: ControlPort, *, rewrite: bool) -> list[str]:
        """Set the configured and the kept values through `port`, an open device; blocks: call it in a worker thread.

        Args:
            port: the device.
            rewrite: write also values that the device reports already. A device that was just opened may have lost its
                values while the driver still reports them.

        Returns:
            A sentence for each configured value that is not in effect as configured.

        Raises:
            CaptureFailed: the device is gone.
        """
        with self._lock:
            return self._settle(port, rewrite=rewrite)

    def _settle(self, port: ControlPort, *, rewrite: bool) -> list[str]:
        wanted = self._wanted(rewrite=rewrite)
        settled = set_controls([each for each in wanted.wishes.values() if self._may_try(each)], port)
        self._learn(settled)
        outcomes = (*wanted.refused, *settled.outcomes)
        # A kept value of an inactive control waits until a client switches the automatic mode off.
        self._news = tuple(
            each for each in outcomes if each.name in wanted.kept and each.name not in settled.inactive
        )
        return [_note(each) for each in outcomes if each.name not in wanted.kept and each.reason]

    def _may_try(self, wish: Wish) -> bool:
        return wish.control.name not in self._silent

    def _wanted(self, *, rewrite: bool = False) -> _Wanted:
        configured, unknown = wishes_of(self.controls, self._configured, rewrite=rewrite)
        kept, refused = wishes_of(self.controls, self._kept, rewrite=rewrite)
        names = frozenset({*kept, *(each.name for each in refused)})
        return _Wanted({**configured, **kept}, names, (*unknown, *refused))

    def tell(self) -> None:
        """Report the values after `settle`, and the kept values that are newly not in effect; call it in the event loop."""
        missed = tuple(each for each in self._news if each.status is not ControlStatus.APPLIED)
        self._tell(missed if missed != self._missed else ())

    def _tell(self, outcomes: tuple[ControlOutcome, ...]) -> None:
        self._missed = tuple(each for each in self._news if each.status is not ControlStatus.APPLIED)
        self._report(ChangedControls(outcomes, self.controls))

    async def change(self, change: ControlChange) -> ChangedControls:
        """Set controls for a client, see `ControlPanel.change`. Raises CaptureFailed."""
        return await self._threads.run_abandonable(self._change, change)

    def _change(self, change: ControlChange) -> ChangedControls:
        with self._lock, self._open_port() as port:
            asked, refused = wishes_of(self.controls, change.values, rewrite=True)
            self._silent -= set(asked)
            outcomes: dict[str, ControlOutcome] = {}
            if change.reset:
                self._kept = {}
                outcomes |= self._reset(port, without={*self._configured, *asked})
            before = self._wanted(rewrite=change.reset).wishes
            others = {name: each for name, each in before.items() if self._may_try(each)}
            settled = set_controls(({**others, **asked}).values(), port)
            self._learn(settled)
            for each in settled.outcomes:
                if each.name in asked:
                    outcomes[each.name] = each
                elif change.reset:
                    outcomes[each.name] = replace(each, is_kept=False)
            result = _in_order(change.values, (*refused, *outcomes.values()))
            self._kept = kept_after(self._kept, change, result)
            self._refresh(port)
            return ChangedControls(result, self.controls)

    def _reset(self, port: ControlPort, *, without: set[str]) -> dict[str, ControlOutcome]:
        settled = reset_controls(self.controls, port, without={*without, *self._silent})
        self._learn(settled)
        return {each.name: each for each in settled.outcomes}

    def _learn(self, settled: Settled) -> None:
        self._controls |= {name: each for name, each in settled.seen.items() if name in self._controls}
        self._silent |= settled.silent

    def _refresh(self, port: ControlPort) -> None:
        """Read all controls again: setting one may change the values and flags of others."""
        for name, each in self._controls.items():
            if each.unsettable or name in self._silent:
                continue
            try:
                self._controls[name] = port.read_control(each)
            except CaptureFailed as error:
                if error.reason == "camera_gone":
                    raise
                _log.debug("control %s cannot be read: %s", name, error.details)
