"""Settings and services that all cameras of the source share."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Union

from agent_core.plugin import CameraReport, Clock
from agent_core.plugin.controls import ControlPort
from v4l2_tier.device.calls import Answers
from v4l2_tier.device.controls import open_controls
from v4l2_tier.settings import CaptureSettings, V4l2TierSettings
from v4l2_tier.source.inventory import DeviceNode
from v4l2_tier.source.matching import SettingsTables
from v4l2_tier.source.sensors import SensorNodes
from v4l2_tier.source.sockets import SocketPaths
from v4l2_tier.source.start_order import ProbePlaces

if TYPE_CHECKING:
    from agent_core.plugin.controls import DevicePanel
    from agent_core.plugin.frames import FrameProducer
    from v4l2_tier.capture.fallback import OnMode
    from v4l2_tier.device.capabilities import Capabilities
    from v4l2_tier.device.modes import ChosenMode
    from v4l2_tier.device.probe import NoCamera

__all__ = ("CameraContext", "MakeProducer", "make_producer")


OnOffer = Callable[["Capabilities"], object]
MakeProducer = Callable[
    [DeviceNode, "Capabilities", CaptureSettings, "DevicePanel", Clock, "OnMode", OnOffer],
    tuple["FrameProducer", "ChosenMode"],
]
OpenControls = Callable[[Path, "Capabilities"], AbstractContextManager[ControlPort]]
Probe = Callable[[Path, Answers], Union["Capabilities", "NoCamera"]]


def probe_device(node: Path, answers: Answers) -> "Capabilities | NoCamera":
    """Probe the real device, as `v4l2_tier.device.probe.probe` does."""
    from v4l2_tier.device.probe import probe

    return probe(node, answers)


def make_producer(
    node: DeviceNode,
    capabilities: "Capabilities",
    settings: CaptureSettings,
    panel: "DevicePanel",
    clock: Clock,
    on_mode: "OnMode",
    on_offer: OnOffer,
) -> "tuple[FrameProducer, ChosenMode]":
    """Return the producer of the real device, and the mode that it chose.

    It tells `on_mode` of each later change, and `on_offer` of what the device then offers.

    Raises:
        CaptureFailed: (`no_usable_format`) the camera offers no usable format.
    """
    from v4l2_tier.capture.producer import V4l2Producer

    producer = V4l2Producer(
        node.path,
        capabilities,
        settings,
        panel,
        clock=clock,
        on_mode=on_mode,
        on_offer=on_offer,
        asks_always=node.is_virtual,
    )
    return producer, producer.chosen


@dataclass(frozen=True, slots=True)
class CameraContext:
    """Settings and services that all cameras of a source share.

    `report` is the core's. `dismiss` receives the name of each node that turns out to be no camera. Tests replace `probe`,
    `make_producer` and `open_controls`, the parts that need a device.
    """

    settings: V4l2TierSettings
    report: CameraReport
    clock: Clock
    sockets: SocketPaths
    probe: Probe = probe_device
    make_producer: MakeProducer = make_producer
    open_controls: OpenControls = open_controls
    tables: SettingsTables = field(init=False)
    sensors: SensorNodes = field(default_factory=SensorNodes)
    dismiss: Callable[[str], object] = lambda _: None
    places: ProbePlaces = field(init=False, default_factory=ProbePlaces)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", SettingsTables(self.settings))
