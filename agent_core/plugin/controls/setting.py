"""Setting of several controls of one device: in the order of their dependencies, and verified. Blocks on the device."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from agent_core.base.controls import Control, ControlFlag, ControlOutcome, ControlStatus, ControlValue
from agent_core.base.errors import CaptureFailed
from agent_core.plugin.controls.rules import SWITCHES, Target, as_requested, find, resolve

__all__ = ("CONTROL_SILENT", "ControlPort", "Settled", "Wish", "reset_controls", "set_controls", "wishes_of")

T = TypeVar("T")

#: Reason of a `CaptureFailed` for a control that the device did not answer in time.
CONTROL_SILENT = "control_silent"
#: Reasons after which no control of the device can be set.
_ENDS_ALL = frozenset({"camera_gone", "camera_changed"})


class ControlPort(Protocol):
    """Open device, as the setting of controls needs it. The calls block; both raise `CaptureFailed`."""

    def read_control(self, control: Control) -> Control:
        """Return the control as it is now: its value, range and flags."""
        ...

    def write_control(self, control: Control, value: int) -> None:
        """Set the control's value."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """Requested value of one control.

    `rewrite`: write it even if the device reports this value already. `asked`: the name in the request, if it is another
    one for this control.
    """

    control: Control
    requested: ControlValue
    rewrite: bool = False
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """Result of setting controls.

    Attributes:
        outcomes: one per wish.
        seen: the controls that were read, by name, as last read.
        inactive: names of the controls that were not set because another control determines their values.
        silent: names of the controls that the device did not answer.
    """

    outcomes: tuple[ControlOutcome, ...]
    seen: Mapping[str, Control] = field(default_factory=dict)
    inactive: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


def wishes_of(
    controls: Iterable[Control], values: Mapping[str, ControlValue], *, rewrite: bool = False
) -> tuple[dict[str, Wish], tuple[ControlOutcome, ...]]:
    """Return the wishes by the controls' own names, and the refusals of names that mean no control or one twice."""
    known = tuple(controls)
    wishes: dict[str, Wish] = {}
    refused: list[ControlOutcome] = []
    for name, value in values.items():
        try:
            control = find(known, name)
            if control.name in wishes:
                other = wishes[control.name].asked or control.name
                raise ValueError(f"it is the same control as {other}, which is set in the same call")
        except ValueError as error:
            refused.append(ControlOutcome(name, value, ControlStatus.REFUSED, None, _sentence(str(error))))
        else:
            wishes[control.name] = Wish(control, value, rewrite, "" if name == control.name else name)
    return wishes, tuple(refused)


def set_controls(wishes: Iterable[Wish], port: ControlPort) -> Settled:
    """Set the wished values, in rounds: setting one control may activate another. Read all of them back.

    Switches, which usually are automatic modes, come first in each round. A control that is inactive, or that the device
    refuses, is tried again after a round in which another one was set. After a control that the device does not answer,
    which takes seconds, no other one is tried.

    Raises:
        CaptureFailed: (`camera_gone`, `camera_changed`) the device is gone.
    """
    ordered = sorted(wishes, key=lambda wish: wish.control.kind not in SWITCHES)
    return _Setting(port).settle(ordered)


def reset_controls(
    controls: Sequence[Control], port: ControlPort, *, without: Collection[str] = ()
) -> Settled:
    """Set the defaults of all controls that have one, numbers before the switches that may make them inactive.

    A control that stays inactive is left out: another one determines its value.

    Raises:
        CaptureFailed: (`camera_gone`, `camera_changed`) the device is gone.
    """
    wishes = [
        Wish(each, _default(each), rewrite=True)
        for each in controls
        if each.name not in without and _has_default(each)
    ]
    settled = _Setting(port).settle(sorted(wishes, key=lambda wish: wish.control.kind in SWITCHES))
    outcomes = (
        replace(each, is_kept=False) for each in settled.outcomes if each.name not in settled.inactive
    )
    return replace(settled, outcomes=tuple(outcomes))


def _has_default(control: Control) -> bool:
    if control.is_action or control.unsettable:
        return False
    return not control.flags & {ControlFlag.READ_ONLY, ControlFlag.DISABLED}


def _default(control: Control) -> ControlValue:
    return bool(control.default) if control.kind == "boolean" else control.default


class _Setting:
    """One pass over a device."""

    def __init__(self, port: ControlPort) -> None:
        self._port = port
        self._outcomes: dict[str, ControlOutcome] = {}
        self._seen: dict[str, Control] = {}
        self._inactive: set[str] = set()
        self._silent: set[str] = set()
        #: Why each pending wish was not granted so far, by name.
        self._problems: dict[str, str] = {}
        self._done: list[tuple[Wish, Target]] = []

    def settle(self, wishes: Sequence[Wish]) -> Settled:
        pending = wishes
        while pending and not self._silent:
            left = [wish for wish in pending if not self._try(wish)]
            if len(left) == len(pending):
                break
            pending = left
        for wish in pending:
            if wish.control.name not in self._outcomes:
                self._refuse(wish, self._problems.get(wish.control.name) or self._not_tried())
        for wish, target in self._done:
            self._verify(wish, target)
        ordered = tuple(self._outcomes[wish.control.name] for wish in wishes)
        return Settled(ordered, self._seen, frozenset(self._inactive), frozenset(self._silent))

    def _try(self, wish: Wish) -> bool:
        """Set one control; return False if it may be possible later."""
        name = wish.control.name
        self._problems.pop(name, None)
        self._inactive.discard(name)
        if self._silent:
            return False
        now = self._ask(name, lambda: self._port.read_control(wish.control))
        if now is None:
            return False
        self._seen[name] = now
        if ControlFlag.INACTIVE in now.flags:
            self._inactive.add(name)
            self._problems[name] = (
                "it is inactive and was not set; switch off the automatic mode that controls it"
            )
            return False
        try:
            target = resolve(now, wish.requested)
        except ValueError as error:
            self._refuse(wish, str(error))
            return True
        is_needed = wish.rewrite or now.value != target.value or not now.is_readable
        if is_needed and not self._write(now, target.value):
            return False
        self._done.append((wish, target))
        return True

    def _write(self, control: Control, value: int) -> bool:
        def write() -> bool:
            self._port.write_control(control, value)
            return True

        return self._ask(control.name, write) is not None

    def _ask(self, name: str, call: Callable[[], T]) -> T | None:
        """Return what the device answers; note the problem and return None if it refuses."""
        try:
            return call()
        except CaptureFailed as error:
            if error.reason in _ENDS_ALL:
                raise
            self._problems[name] = error.details
            if error.reason == CONTROL_SILENT:
                self._silent.add(name)
            return None

    def _not_tried(self) -> str:
        silent = ", ".join(sorted(self._silent))
        return f"it was not set, because the camera does not answer the control {silent}"

    def _verify(self, wish: Wish, target: Target) -> None:
        """Read the value back; write it once more if another one is in effect, and tell what is in effect then."""
        control = self._seen[wish.control.name]
        if not control.is_readable:
            self._answer(wish, control, target, target.value)
            return
        now = self._look(wish)
        is_undone = now is not None and now.value != target.value and ControlFlag.INACTIVE not in now.flags
        if is_undone and self._write(control, target.value):
            now = self._look(wish)
        if now is None:
            problem = self._problems.get(wish.control.name) or self._not_tried()
            reason = _sentence(f"it was set, but could not be read back: {problem}")
            self._put(
                wish, ControlOutcome(control.name, wish.requested, ControlStatus.ADJUSTED, None, reason)
            )
        else:
            self._answer(wish, now, target, now.value)

    def _look(self, wish: Wish) -> Control | None:
        if self._silent:
            return None
        now = self._ask(wish.control.name, lambda: self._port.read_control(wish.control))
        if now is not None:
            self._seen[now.name] = now
        return now

    def _answer(self, wish: Wish, now: Control, target: Target, value: int) -> None:
        reason = target.note
        if value != target.value:
            reason = f"{target.value} was requested; the camera set {value}"
        elif reason:
            reason = f"{reason}; {value} was set"
        status = ControlStatus.ADJUSTED if reason else ControlStatus.APPLIED
        shown = as_requested(now, value, wish.requested)
        is_kept = not now.is_action
        self._put(
            wish, ControlOutcome(now.name, wish.requested, status, shown, _sentence(reason), is_kept=is_kept)
        )

    def _refuse(self, wish: Wish, problem: str) -> None:
        now = self._seen.get(wish.control.name)
        value = as_requested(now, now.value, wish.requested) if now is not None and now.is_readable else None
        reason = _sentence(problem)
        self._put(
            wish, ControlOutcome(wish.control.name, wish.requested, ControlStatus.REFUSED, value, reason)
        )

    def _put(self, wish: Wish, outcome: ControlOutcome) -> None:
        self._outcomes[outcome.name] = replace(outcome, asked=wish.asked)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
