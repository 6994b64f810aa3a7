"""Two nodes of one USB device as one camera: pictures at one node, coded video (H.264, H.265) at the other.

Between the cameras of the nodes, which know nothing of each other, and the core.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from anyio.abc import TaskGroup

from agent_core.plugin import (
    CameraReport,
    ChangedControls,
    Clock,
    DetectedCamera,
    FrameSocket,
    VideoCodec,
)
from agent_core.plugin.controls import DevicePanel
from v4l2_tier.device.modes import CODED_FORMATS
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("JoinedNodes",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Time for which a node with coded video waits for the other nodes of its device: above the 6 s after which a device that
#: does not answer is reported.
_WAIT_S = 8.0
_PART = "It is a part of the camera whose pictures come from another node of the same device."


class _Kind(Enum):
    """Kinds of nodes by what they offer; one of kind `OTHER` is never joined."""

    PICTURES = auto()
    CODED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Told:
    """Last report of a node: its camera as it was last described, and the problem if it does not work.

    `is_described`: the report itself described the camera.
    """

    camera: DetectedCamera | None
    problem: str = ""
    is_described: bool = True

    @property
    def works(self) -> bool:
        return not self.problem

    @property
    def kind(self) -> _Kind:
        camera = self.camera
        if camera is None or not camera.modes:
            return _Kind.OTHER
        if all(mode.format in CODED_FORMATS for mode in camera.modes):
            return _Kind.CODED
        media = camera.media_input
        has_jpegs = not isinstance(media, FrameSocket) or media.codec is VideoCodec.MJPEG
        return _Kind.PICTURES if has_jpegs else _Kind.OTHER


class JoinedNodes(CameraReport):
    """Receiver of the nodes' reports. A device's only node with pictures and its only one with nothing but coded video are one camera.

    That camera has the identity, the controls and the snapshots of the node with pictures, and streams from the other
    one. If one node fails, the camera works with the other; the log tells the reason.

    Args:
        report: the core's.
        clock: times the waits.
        tasks: runs the waits.
        joins: False: each node is a camera of its own.
    """

    def __init__(self, report: CameraReport, *, clock: Clock, tasks: TaskGroup, joins: bool) -> None:
        self._report = report
        self._clock = clock
        self._tasks = tasks
        self._joins = joins
        self._nodes: dict[str, DeviceNode] = {}
        self._told: dict[str, _Told] = {}
        #: Nodes that the core knows as cameras of their own, and those that wait.
        self._shown: set[str] = set()
        self._waiting: set[str] = set()
        #: Nodes that are no cameras.
        self._dismissed: set[str] = set()
        self._logged: dict[str, str] = {}

    def present(self, nodes: Iterable[DeviceNode]) -> None:
        """Take note of all nodes that exist, before their first reports and after the last of those that are gone.

        A node that is gone before it was used has none: nothing waits for it any more.
        """
        self._nodes = {node.name: node for node in nodes}
        self._dismissed &= self._nodes.keys()

    def drop(self, name: str) -> None:
        """Forget a node that is gone, after its last report: the next one of the name may be a camera."""
        self._dismissed.discard(name)

    def dismiss(self, name: str) -> None:
        """Take note that a node is no camera, such as one for metadata, or is disabled: nothing waits for it."""
        self._dismissed.add(name)
        for key in [each for each in self._waiting if name in self._siblings(each)]:
            if key in self._told and not self._must_wait(key):
                self._waiting.discard(key)
                self._show(key)

    # Reports of the nodes.

    def connected(self, camera: DetectedCamera) -> None:
        self._told[camera.key] = _Told(camera)
        self._logged.pop(camera.key, None)
        self._show(camera.key)

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        before = self._told.get(key)
        known = camera or (before.camera if before else None)
        self._told[key] = _Told(known, reason, is_described=camera is not None)
        self._show(key)

    def disconnected(self, key: str, reason: str) -> None:
        pair = self._pair_of(key)
        self._told.pop(key, None)
        self._logged.pop(key, None)
        self._waiting.discard(key)
        if key in self._shown:
            self._shown.discard(key)
            self._report.disconnected(key, reason)
        if pair is not None:
            self._left(*pair, gone=key)

    def removed(self, key: str, reason: str) -> None:
        self._told.pop(key, None)
        self._shown.discard(key)
        self._report.removed(key, reason)

    def controls(self, key: str, changed: ChangedControls) -> None:
        pair = self._pair_of(key)
        if pair is None or pair[0] == key:
            self._report.controls(key, changed)

    # Decisions.

    def _siblings(self, key: str) -> list[str]:
        """Return the nodes of the same USB device, itself among them."""
        own = self._nodes.get(key)
        if own is None or own.usb is None or not self._joins:
            return [key]
        return [name for name, node in self._nodes.items() if node.physical == own.physical]

    def _pair_of(self, key: str) -> tuple[str, str] | None:
        """Return the nodes with pictures and with coded video of a camera that has both, one of which is `key`."""
        kinds = {name: self._told[name].kind for name in self._siblings(key) if name in self._told}
        pictures = [name for name, kind in kinds.items() if kind is _Kind.PICTURES]
        coded = [name for name, kind in kinds.items() if kind is _Kind.CODED]
        if len(pictures) == len(coded) == 1 and key in (*pictures, *coded):
            return pictures[0], coded[0]
        return None

    def _show(self, key: str) -> None:
        pair = self._pair_of(key)
        if pair is not None:
            self._show_pair(*pair)
        elif key in self._waiting or self._must_wait(key):
            self._wait(key)
        else:
            self._pass_on(key)

    def _must_wait(self, key: str) -> bool:
        """Return whether another node of the device may turn out to have the pictures."""
        if key in self._shown or self._told[key].kind is not _Kind.CODED:
            return False
        known = self._told.keys() | self._dismissed
        others = (self._nodes[name] for name in self._siblings(key) if name not in known)
        return any(each.udev_capabilities is None or "capture" in each.udev_capabilities for each in others)

    def _wait(self, key: str) -> None:
        if key not in self._waiting:
            self._waiting.add(key)
            self._tasks.start_soon(self._show_later, key)

    async def _show_later(self, key: str) -> None:
        await self._clock.sleep(_WAIT_S)
        if key in self._waiting:
            self._waiting.discard(key)
            if key in self._told and self._pair_of(key) is None:
                self._pass_on(key)

    def _left(self, pictures: str, coded: str, *, gone: str) -> None:
        """Show what is left of a camera. Both nodes go when it is unplugged, so coded video alone waits."""
        if gone == coded:
            self._show(pictures)
        else:
            self._wait(coded)

    # Reports to the core.

    def _pass_on(self, key: str) -> None:
        told = self._told[key]
        is_new = key not in self._shown
        self._shown.add(key)
        if told.works and told.camera is not None:
            self._report.connected(_as_now(told.camera))
        else:
            self._report.failed(key, told.problem, told.camera if told.is_described or is_new else None)

    def _show_pair(self, pictures: str, coded: str) -> None:
        if coded in self._shown:
            self._shown.discard(coded)
            self._report.removed(coded, _PART)
        first, second = self._told[pictures], self._told[coded]
        if first.camera is None or second.camera is None or not second.works:
            if first.works:
                self._tell(coded, second, "it streams what its other node delivers")
            self._pass_on(pictures)
            return
        camera = replace(
            _as_now(first.camera),
            media_input=second.camera.media_input,
            modes=(*first.camera.modes, *second.camera.modes),
            resolution=second.camera.resolution,
            fps=second.camera.fps,
            tracks=second.camera.tracks,
        )
        if not first.works:
            self._tell(pictures, first, "snapshots are taken from its coded video")
            camera = replace(camera, frames=None, device=second.camera.device)
        self._shown.add(pictures)
        self._report.connected(camera)

    def _tell(self, key: str, told: _Told, consequence: str) -> None:
        """Log the problem of one node of a camera that works with the other one, once for each problem."""
        if self._logged.get(key) != told.problem and told.camera is not None:
            self._logged[key] = told.problem
            name = f"{told.camera.name} ({self._nodes[key].path.name})" if key in self._nodes else key
            _log.warning("%s: %s Until then, %s", name, told.problem, consequence)


def _as_now(camera: DetectedCamera) -> DetectedCamera:
    """Return the camera with its controls as they were last read: a report may be repeated long after it was made."""
    panel = camera.panel
    return replace(camera, controls=panel.controls) if isinstance(panel, DevicePanel) else camera
