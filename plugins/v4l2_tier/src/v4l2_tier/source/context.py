"""What every camera of the source is given; tests replace the parts that need a device."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Union

from agent_core.plugin import CameraReport, Clock, Fingerprint
from v4l2_tier.settings import CameraSettings, CaptureSettings, V4l2TierSettings
from v4l2_tier.source.inventory import DeviceNode
from v4l2_tier.source.sockets import SocketPlaces

if TYPE_CHECKING:
    from agent_core.plugin.frames import FrameProducer
    from v4l2_tier.device.capabilities import Capabilities
    from v4l2_tier.device.modes import ChosenMode
    from v4l2_tier.device.probe import NoCamera

__all__ = ("CameraContext", "MakeProducer", "make_producer", "settings_of")


MakeProducer = Callable[
    [DeviceNode, "Capabilities", CaptureSettings, Clock], tuple["FrameProducer", "ChosenMode"]
]
Probe = Callable[[Path], Union["Capabilities", "NoCamera"]]


def probe_device(node: Path) -> "Capabilities | NoCamera":
    """Ask the real device; see `probe`."""
    from v4l2_tier.device.probe import probe

    return probe(node)


def make_producer(
    node: DeviceNode, capabilities: "Capabilities", settings: CaptureSettings, clock: Clock
) -> "tuple[FrameProducer, ChosenMode]":
    """The real one, and what it has chosen to deliver.

    Raises:
        CaptureFailed: the camera offers nothing that can be used.
    """
    from v4l2_tier.capture.producer import V4l2Producer

    producer = V4l2Producer(node.path, capabilities, settings, clock=clock)
    return producer, producer.chosen


@dataclass(frozen=True, slots=True)
class CameraContext:
    """`report` is the core's, `places` are shared by all cameras of a source."""

    settings: V4l2TierSettings
    report: CameraReport
    clock: Clock
    places: SocketPlaces
    probe: Probe = probe_device
    make_producer: MakeProducer = make_producer


def settings_of(
    settings: V4l2TierSettings, node: DeviceNode, seen: Fingerprint, name: str
) -> CameraSettings | None:
    """The first table whose `match` is the camera's serial number, port or name; None if there is none."""
    serial = node.usb.serial if node.usb else ""
    known_as = [text for text in (serial, seen.serial, node.port, seen.port, name) if text]
    return next(
        (table for table in settings.cameras if any(fnmatchcase(text, table.match) for text in known_as)),
        None,
    )
