"""Controls of a webcam, with the dependencies of real ones."""

from dataclasses import dataclass, replace

from tests.vm.cameras.layout import Layout

__all__ = ("CONTROLS", "Control", "Controls", "NoAnswer")

CAMERA_TERMINAL = 1
PROCESSING_UNIT = 2
#: Selector of the control with the reason of the last refusal (UVC 1.5, 4.2.1.2).
REQUEST_ERROR_CODE = 2
WRONG_STATE, OUT_OF_RANGE, INVALID_CONTROL, INVALID_REQUEST = 2, 4, 6, 7

SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF = 1, *range(0x81, 0x88)
_RANGE = (GET_MIN, GET_MAX, GET_RES, GET_DEF)
#: Bits of GET_INFO.
CAN_GET, CAN_SET, DISABLED_BY_AUTOMATIC = 1, 2, 4


class NoAnswer(Exception):
    """Silence of a camera that a request meets."""


@dataclass(frozen=True, slots=True)
class Control:
    """Control of a unit; `bit` is its position in the unit's bmControls.

    `needs` is another control and the value that it must have for this one to be set.
    """

    name: str
    unit: int
    selector: int
    bit: int
    size_bytes: int
    minimum: int
    maximum: int
    default: int
    resolution: int = 1
    needs: tuple[str, int] | None = None

    @property
    def signed(self) -> bool:
        return self.minimum < 0


#: The values of auto_exposure are bits: 1 manual, 8 aperture priority; its resolution lists the valid ones.
CONTROLS = (
    Control("auto_exposure", CAMERA_TERMINAL, 0x02, 1, 1, 0, 0, 8, resolution=1 | 8),
    Control("exposure_time", CAMERA_TERMINAL, 0x04, 3, 4, 3, 2047, 250, needs=("auto_exposure", 1)),
    Control("brightness", PROCESSING_UNIT, 0x02, 0, 2, -64, 64, 0),
    Control("contrast", PROCESSING_UNIT, 0x03, 1, 2, 0, 64, 32),
    Control("gain", PROCESSING_UNIT, 0x04, 9, 2, 0, 100, 0),
    Control("power_line_frequency", PROCESSING_UNIT, 0x05, 10, 1, 0, 2, 1),
    Control("white_balance_automatic", PROCESSING_UNIT, 0x0B, 12, 1, 0, 1, 1),
    Control(
        "white_balance_temperature",
        PROCESSING_UNIT,
        0x0A,
        6,
        2,
        2800,
        6500,
        4600,
        needs=("white_balance_automatic", 0),
    ),
)


class Controls:
    """State of one camera's controls; unplugging resets it, as in a real camera."""

    def __init__(self, layout: Layout) -> None:
        self._silent = {GET_CUR: layout.mute, SET_CUR: layout.deaf}
        self._undescribed = layout.undescribed
        self._known = {each.name: each for each in CONTROLS if each.name in layout.controls}
        for name, low, high in layout.ranges:
            self._known[name] = replace(self._known[name], minimum=low, maximum=high)
        self.values = {name: control.default for name, control in self._known.items()}
        #: All values set, in order.
        self.history: list[tuple[str, int]] = []
        self._error = 0

    def bitmap(self, unit: int) -> int:
        return sum(1 << each.bit for each in self._known.values() if each.unit == unit)

    def request(self, unit: int, selector: int, code: int, data: bytes) -> bytes | None:
        """Return the answer to a control request, empty for SET_CUR, or None to refuse it with a stall.

        Raises:
            NoAnswer: the camera never answers this request.
        """
        if unit == 0 and selector == REQUEST_ERROR_CODE:
            return {GET_CUR: bytes([self._error]), GET_INFO: b"\1", GET_LEN: b"\1\0"}.get(code)
        wanted = [c for c in self._known.values() if (c.unit, c.selector) == (unit, selector)]
        if not wanted:
            return self._refuse(INVALID_CONTROL)
        if wanted[0].name in self._silent.get(code, ()):
            raise NoAnswer
        if code in _RANGE and wanted[0].name in self._undescribed:
            return self._refuse(INVALID_REQUEST)
        if code == SET_CUR:
            return self._set(wanted[0], data)
        return self._get(wanted[0], code)

    def _get(self, control: Control, code: int) -> bytes | None:
        if code == GET_LEN:
            return control.size_bytes.to_bytes(2, "little")
        if code == GET_INFO:
            return bytes([CAN_GET | CAN_SET | (0 if self._enabled(control) else DISABLED_BY_AUTOMATIC)])
        value = {
            GET_CUR: self.values[control.name],
            GET_MIN: control.minimum,
            GET_MAX: control.maximum,
            GET_RES: control.resolution,
            GET_DEF: control.default,
        }.get(code)
        if value is None:
            return self._refuse(INVALID_REQUEST)
        return value.to_bytes(control.size_bytes, "little", signed=control.signed)

    def _set(self, control: Control, data: bytes) -> bytes | None:
        value = int.from_bytes(data[: control.size_bytes], "little", signed=control.signed)
        if not self._enabled(control):
            return self._refuse(WRONG_STATE)
        if not self._allowed(control, value):
            return self._refuse(OUT_OF_RANGE)
        self.values[control.name] = value
        self.history.append((control.name, value))
        return b""

    def _allowed(self, control: Control, value: int) -> bool:
        if control.name == "auto_exposure":
            return value.bit_count() == 1 and bool(value & control.resolution)
        return control.minimum <= value <= control.maximum

    def _enabled(self, control: Control) -> bool:
        return control.needs is None or self.values.get(control.needs[0]) in (None, control.needs[1])

    def _refuse(self, code: int) -> bytes | None:
        self._error = code
        return None
