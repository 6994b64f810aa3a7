"""Controls of an open device, as its control panel sets them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from agent_core.plugin import Control
from v4l2_tier.device.capabilities import Capabilities, DeviceControl
from v4l2_tier.device.offered import offered_control

__all__ = ("ControlDevice", "DeviceControls", "open_controls")


class ControlDevice(Protocol):
    """Part of `CaptureDevice` that reads and writes controls; both methods raise `CaptureFailed`."""

    def read_control(self, control: DeviceControl) -> DeviceControl: ...

    def write_control(self, control: DeviceControl, value: int) -> None: ...


class DeviceControls:
    """`ControlPort` of an open device with these controls; the opener closes the device."""

    def __init__(self, device: ControlDevice, controls: Iterable[DeviceControl]) -> None:
        self._device = device
        self._known = {each.name: each for each in controls}

    def read_control(self, control: Control) -> Control:
        return offered_control(self._device.read_control(self._known[control.name]))

    def write_control(self, control: Control, value: int) -> None:
        self._device.write_control(self._known[control.name], value)


@contextmanager
def open_controls(node: Path, capabilities: Capabilities) -> Iterator[DeviceControls]:
    """Open `node` for its controls only, which V4L2 allows while it streams. Blocks. Raises CaptureFailed."""
    from v4l2_tier.device.capture_device import CaptureDevice  # large: loaded with the first use

    device = CaptureDevice.open(node, capabilities)
    try:
        yield DeviceControls(device, capabilities.controls)
    finally:
        device.close()
