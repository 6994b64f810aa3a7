"""Contract of control panels, as tests that a plugin author inherits."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from agent_core.base.controls import (
    ChangedControls,
    Control,
    ControlChange,
    ControlFlag,
    ControlOutcome,
    ControlPanel,
    ControlStatus,
    ControlValue,
)
from agent_core.cameras.reports import checked_controls
from agent_core.testing.context import RecordingReport
from agent_core.testing.contracts import responsive

__all__ = ("ControlPanelContract", "PanelUnderTest")

_LIMIT_S = 20.0


@dataclass(slots=True)
class PanelUnderTest:
    """Panel of a camera that is connected and has its defaults; its source reports to `report` under `key`."""

    panel: ControlPanel
    report: RecordingReport
    key: str


@pytest.mark.anyio
class ControlPanelContract(ABC):
    """Contract of control panels: inherit it, implement `make_panel`, and set `number` to a settable control.

    Attributes:
        number: name of an active `integer` control with at least three values.
        switch: name and value of a control, and of the one that it activates; None if no control depends on another.
        blocking_limit_s: longest time for which the panel may block the event loop at once.
    """

    number: str
    switch: tuple[str, ControlValue, str] | None = None
    blocking_limit_s = 1.0

    @abstractmethod
    def make_panel(self) -> AbstractAsyncContextManager[PanelUnderTest]:
        """Return a context with the panel of a camera that was just connected, whose source runs meanwhile."""

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[PanelUnderTest]:
        with anyio.fail_after(_LIMIT_S):
            async with responsive(self.blocking_limit_s), self.make_panel() as made:
                yield made

    async def test_a_value_is_set_and_read_back(self) -> None:
        async with self._running() as made:
            control = await self._control(made.panel, self.number)
            wanted = control.maximum if control.value != control.maximum else control.minimum
            outcome, controls = await _set(made.panel, {self.number: wanted})
            assert (outcome.status, outcome.value, outcome.requested) == (
                ControlStatus.APPLIED,
                wanted,
                wanted,
            )
            assert controls[self.number].value == wanted

    async def test_a_number_beyond_the_range_is_adjusted_and_said(self) -> None:
        async with self._running() as made:
            control = await self._control(made.panel, self.number)
            outcome, controls = await _set(made.panel, {self.number: control.maximum + 1})
            assert outcome.status is ControlStatus.ADJUSTED
            assert outcome.value == controls[self.number].value
            assert outcome.reason.strip()

    async def test_unknown_names_and_wrong_values_do_not_affect_the_others(self) -> None:
        async with self._running() as made:
            control = await self._control(made.panel, self.number)
            changed = await _change(
                made.panel, ControlChange({"no_such_control": 1, self.number: control.minimum})
            )
            outcomes = {each.name: each for each in changed.outcomes}
            assert outcomes["no_such_control"].status is ControlStatus.REFUSED
            assert outcomes["no_such_control"].reason.strip()
            assert outcomes[self.number].status is ControlStatus.APPLIED
            refused, _ = await _set(made.panel, {self.number: "not a number"})
            assert refused.status is ControlStatus.REFUSED

    async def test_what_another_control_activates_is_set_in_one_call(self) -> None:
        if self.switch is None:
            pytest.skip("no control of this camera depends on another")
        name, value, dependent = self.switch
        async with self._running() as made:
            control = await self._control(made.panel, dependent)
            assert ControlFlag.INACTIVE in control.flags
            alone, _ = await _set(made.panel, {dependent: control.minimum})
            assert alone.status is ControlStatus.REFUSED
            changed = await _change(made.panel, ControlChange({dependent: control.minimum, name: value}))
            assert {each.status for each in changed.outcomes} == {ControlStatus.APPLIED}

    async def test_a_reset_sets_the_defaults(self) -> None:
        async with self._running() as made:
            control = await self._control(made.panel, self.number)
            other = control.maximum if control.default != control.maximum else control.minimum
            await _set(made.panel, {self.number: other})
            changed = await _change(made.panel, ControlChange(reset=True))
            controls = {each.name: each for each in changed.controls}
            assert controls[self.number].value == control.default

    async def test_kept_values_are_set_and_their_outcomes_reported(self) -> None:
        async with self._running() as made:
            control = await self._control(made.panel, self.number)
            wanted = control.maximum if control.default != control.maximum else control.minimum
            made.panel.keep({self.number: wanted, "no_such_control": 1})
            await made.report.wait_controls(made.key, 1)
            told = _outcomes_of(made.report.changed_controls[made.key])
            assert told[self.number].status is ControlStatus.APPLIED
            assert told["no_such_control"].status is ControlStatus.REFUSED
            assert (await self._control(made.panel, self.number)).value == wanted

    async def _control(self, panel: ControlPanel, name: str) -> Control:
        """Return a control as it is now; a change that refuses everything reads all of them."""
        changed = await _change(panel, ControlChange({"no_such_control": 0}))
        return next(each for each in changed.controls if each.name == name)


async def _change(panel: ControlPanel, change: ControlChange) -> ChangedControls:
    return checked_controls("under test", await panel.change(change))


async def _set(
    panel: ControlPanel, values: dict[str, ControlValue]
) -> tuple[ControlOutcome, dict[str, Control]]:
    """Set one control; return its outcome, and all controls."""
    changed = await _change(panel, ControlChange(values))
    (outcome,) = changed.outcomes
    return outcome, {each.name: each for each in changed.controls}


def _outcomes_of(reports: list[ChangedControls]) -> dict[str, ControlOutcome]:
    return {each.name: each for report in reports for each in report.outcomes}
