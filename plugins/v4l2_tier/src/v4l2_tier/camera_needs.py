"""What every camera of the source is given; tests replace the parts that need a device."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from agent_core.plugin import CameraReport, Clock
from v4l2_tier.inventory import DeviceNode
from v4l2_tier.settings import CaptureSettings, V4l2TierSettings
from v4l2_tier.sockets import SocketPlaces

if TYPE_CHECKING:
    from agent_core.plugin.frames import FrameProducer
    from v4l2_tier.capabilities import Capabilities
    from v4l2_tier.modes import ChosenMode
    from v4l2_tier.probe import NoCamera

__all__ = ("CameraNeeds", "MakeProducer", "make_producer")


MakeProducer = Callable[
    [DeviceNode, "Capabilities", CaptureSettings, Clock], tuple["FrameProducer", "ChosenMode"]
]
Probe = Callable[[Path], Union["Capabilities", "NoCamera"]]


def probe_device(node: Path) -> "Capabilities | NoCamera":
    """Ask the real device; see `probe`."""
    from v4l2_tier.probe import probe

    return probe(node)


def make_producer(
    node: DeviceNode, capabilities: "Capabilities", settings: CaptureSettings, clock: Clock
) -> "tuple[FrameProducer, ChosenMode]":
    """The real one, and what it has chosen to deliver.

    Raises:
        CaptureFailed: the camera offers nothing that can be used.
    """
    from v4l2_tier.producer import V4l2Producer

    producer = V4l2Producer(node.path, capabilities, settings, clock=clock)
    return producer, producer.chosen


@dataclass(frozen=True, slots=True)
class CameraNeeds:
    """`report` is the core's, `places` are shared by all cameras of a source."""

    settings: V4l2TierSettings
    report: CameraReport
    clock: Clock
    places: SocketPlaces
    probe: Probe = probe_device
    make_producer: MakeProducer = make_producer
