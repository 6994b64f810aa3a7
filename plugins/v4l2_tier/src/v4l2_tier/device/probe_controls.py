"""Reader of a device's image controls."""

import errno
import logging
import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from v4l2_tier.device.calls import GONE, DriverCall
from v4l2_tier.device.capabilities import DeviceControl
from v4l2_tier.device.control_values import get_value

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("read_controls", "reread")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: V4L2_CTRL_TYPE_*.
_KINDS = {
    1: "integer",
    2: "boolean",
    3: "menu",
    4: "button",
    5: "integer64",
    7: "string",
    8: "bitmask",
    9: "integer_menu",
}
#: A heading among the controls, without a value.
_CONTROL_CLASS = 6
_MENUS = ("menu", "integer_menu")
# V4L2_CTRL_FLAG_*
_DISABLED, _GRABBED, _READ_ONLY, _INACTIVE, _WRITE_ONLY = 0x1, 0x2, 0x4, 0x10, 0x40
_VOLATILE, _HAS_PAYLOAD = 0x80, 0x100
#: V4L2_CTRL_FLAG_NEXT_CTRL and _NEXT_COMPOUND: the next control of any type.
_NEXT = 0xC0000000
#: Most controls read: a faulty driver may enumerate without end.
_MOST = 1024
#: Most entries read of a menu: a driver may report a wrong range.
_MOST_CHOICES = 256
#: Errors that mean that there is no such control.
_NONE = frozenset({errno.EINVAL, errno.ENOTTY, errno.ENOENT})
#: Most questions that stay without an answer, each for the 5 s of the USB driver. Then no more values are read.
_MOST_SILENT = 2
#: The same for descriptions: each missing one is asked for twice.
_MOST_UNDESCRIBED = 3
#: First numbers of the classes user, camera, image source and image processing, and how many of each are asked for by
#: number when the enumeration fails: standard controls of cameras are there.
_CLASSES = (0x00980900, 0x009A0900, 0x009E0900, 0x009F0900)
_NUMBERS = 0x40
#: Numbers above are those of vendors' controls.
_BEYOND = 0x09FFFFFF


def read_controls(call: DriverCall) -> Iterator[DeviceControl]:
    """Yield all controls except headings; a control that cannot be read does not affect the others.

    Raises:
        OSError: the device is gone.
    """
    yield from _Reader(call).controls()


def reread(call: DriverCall, control: DeviceControl) -> DeviceControl:
    """Return `control` with its present value, range and flags.

    Raises:
        OSError: the driver refused, did not answer, or the device is gone.
    """
    from linuxpy.video import raw

    query = raw.v4l2_query_ext_ctrl()
    query.id = control.id
    call(raw.IOC.QUERY_EXT_CTRL, query)
    found = replace(_described(query), name=control.name, choices=control.choices)
    if not found.is_readable:
        return found
    return replace(found, value=get_value(call, control.id, control.kind))


class _Reader:
    """One reading of all controls of a device."""

    def __init__(self, call: DriverCall) -> None:
        self._call = call
        self._silent = self._undescribed = 0

    def controls(self) -> Iterator[DeviceControl]:
        for query in self._each():
            if isinstance(query, DeviceControl):
                yield query
            elif query.type != _CONTROL_CLASS:
                yield self._read(query)

    def _read(self, query: "raw.v4l2_query_ext_ctrl") -> DeviceControl:
        control = _described(query)
        if control.kind in _MENUS:
            control = replace(control, choices=tuple(self._choices(control)))
        if not control.is_readable:
            return control
        if self._is_silent:
            return replace(control, unreadable=True)
        try:
            return replace(control, value=get_value(self._call, control.id, control.kind))
        except OSError as error:
            self._note(error, control.name)
            return replace(control, unreadable=error.errno == errno.ETIMEDOUT)

    @property
    def _is_silent(self) -> bool:
        return self._silent >= _MOST_SILENT

    def _note(self, error: OSError, name: str) -> None:
        """Note an error of one control. Raises it if the device is gone."""
        if error.errno in GONE:
            raise error
        if error.errno == errno.ETIMEDOUT:
            self._silent += 1
        _log.info("the control %s cannot be read: %s", name, error.strerror)

    def _note_undescribed(self, error: OSError, name: str) -> None:
        """Note a description that is missing. Raises `error` if the device is gone."""
        if error.errno in GONE:
            raise error
        if error.errno == errno.ETIMEDOUT:
            self._undescribed += 1
        _log.info("the control %s is not described: %s", name, error.strerror)

    def _each(self) -> "Iterator[raw.v4l2_query_ext_ctrl | DeviceControl]":
        """Yield the driver's descriptions; past a control that fails, whose number the driver does not tell."""
        after: int | None = 0
        for _ in range(_MOST):
            if after is None:
                return
            try:
                query = self._query(after | _NEXT)
            except OSError as error:
                if error.errno in _NONE:
                    return
                self._note_undescribed(error, f"after {after:#x}")
                after = yield from self._by_number(after)
                continue
            if query.id <= after:
                return
            after = query.id
            yield query

    def _by_number(
        self, after: int
    ) -> "Generator[raw.v4l2_query_ext_ctrl | DeviceControl, None, int | None]":
        """Yield the controls numbered above `after`, and the first that fails.

        Returns:
            The number after which the enumeration can go on, None if there is none.
        """
        numbers = (number for first in _CLASSES for number in range(first, first + _NUMBERS))
        for number in numbers:
            if number <= after:
                continue
            if self._undescribed >= _MOST_UNDESCRIBED:
                return None
            try:
                yield self._query(number)
            except OSError as error:
                if error.errno not in _NONE:
                    self._note_undescribed(error, f"{number:#x}")
                    yield from _undescribed(number, error)
                    return number
        return _BEYOND if after < _BEYOND else None

    def _query(self, number: int) -> "raw.v4l2_query_ext_ctrl":
        from linuxpy.video import raw

        query = raw.v4l2_query_ext_ctrl()
        query.id = number
        self._call(raw.IOC.QUERY_EXT_CTRL, query)
        return query

    def _choices(self, control: DeviceControl) -> Iterator[tuple[int, str]]:
        """Yield the entries of a menu, which may have gaps: the driver refuses an unused number with EINVAL."""
        from linuxpy.video import raw

        last = min(control.maximum, control.minimum + _MOST_CHOICES)
        for number in range(max(control.minimum, 0), last + 1):
            entry = raw.v4l2_querymenu()
            entry.id, entry.index = control.id, number
            try:
                self._call(raw.IOC.QUERYMENU, entry)
            except OSError as error:
                if error.errno in GONE:
                    raise
                if error.errno == errno.ETIMEDOUT:  # each further entry would cost as long
                    self._note(error, control.name)
                    return
                continue
            is_number = control.kind == "integer_menu"
            yield number, str(entry.value) if is_number else entry.name.decode(errors="replace")


def _described(query: "raw.v4l2_query_ext_ctrl") -> DeviceControl:
    """Return the driver's description, with the default as value."""
    kind, unsettable = _kind(query)
    return DeviceControl(
        id=query.id,
        name=_variable_name(query.name.decode(errors="replace")),
        kind=kind,
        minimum=query.minimum,
        maximum=query.maximum,
        step=query.step,
        default=query.default_value,
        value=query.default_value,
        inactive=bool(query.flags & _INACTIVE),
        read_only=bool(query.flags & _READ_ONLY),
        write_only=bool(query.flags & _WRITE_ONLY),
        disabled=bool(query.flags & _DISABLED),
        grabbed=bool(query.flags & _GRABBED),
        volatile=bool(query.flags & _VOLATILE),
        unsettable=unsettable,
    )


def _kind(query: "raw.v4l2_query_ext_ctrl") -> tuple[str, str]:
    """Return the kind, and the reason if controls of it cannot be set. An array has the type of its elements."""
    kind = _KINDS.get(query.type, "compound")
    if kind == "string":
        return kind, "It holds a text, which cannot be set here."
    if kind == "compound" or query.flags & _HAS_PAYLOAD:
        return "compound", "It holds an array or a structure, which cannot be set here."
    return kind, ""


def _undescribed(number: int, error: OSError) -> Iterator[DeviceControl]:
    """Yield a standard control that the device has but does not describe."""
    from linuxpy.video import raw

    names = (name for name, each in raw.ControlID.__members__.items() if each.value == number)
    name = next((each.lower() for each in names if not each.endswith("BASE")), "")
    if name:
        reason = (
            f"The camera does not describe it ({errno.errorcode.get(error.errno or 0, 'unknown error')})."
        )
        yield DeviceControl(number, name, "unknown", 0, 0, 1, 0, 0, unsettable=reason)


def _variable_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
