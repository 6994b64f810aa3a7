"""Registry of cameras: the only place that maps between public ids and the reports of sources."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from agent_core.base.clock import Clock
from agent_core.base.controls import ChangedControls, Control, ControlStatus
from agent_core.base.errors import InvalidParams, NotFound
from agent_core.base.events import EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import (
    CAMERA_ID,
    Camera,
    CameraEvent,
    CameraId,
    CameraStatus,
    ControlCause,
    ControlsEvent,
    DetectedCamera,
)
from agent_core.cameras.identity import Identity, Known, identify
from agent_core.cameras.kept_controls import KeptControls
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.reports import checked_camera, checked_controls, checked_reason

__all__ = ("REMOVED_KEPT", "CameraRegistry", "SourceReport", "parse_camera_id")

_log = logging.getLogger("camera_agent.cameras")

#: Removed cameras whose ids wait for their return; a ledger with as many more has a few 10 kB.
REMOVED_KEPT = 200
#: Bounds the look at folders when many removed cameras have files.
_FORGOTTEN_AT_ONCE = 8


def parse_camera_id(text: str) -> CameraId:
    """Return `text` as a camera's id.

    Raises:
        InvalidParams: it does not have the form of an id.
    """
    if not CAMERA_ID.fullmatch(text):
        raise InvalidParams(
            "A camera's name is 'camera' and a number.", param="device", rule="camera[0-9]+", hint="camera0"
        )
    return CameraId(text)


@dataclass(frozen=True, slots=True)
class _Key:
    """Identity of a camera within its source."""

    source: str
    key: str


class CameraRegistry:
    """All cameras that the agent knows, by id. Publishes each change as an event, in order.

    Args:
        ledger: the ids of all cameras ever seen, except removed ones that were forgotten.
        events: receives the changes.
        clock: gives the times of changes.
        has_files: returns True if the camera may have recordings or snapshots. Looks at folders; called for few cameras.
        kept: the control values that each camera gets when it is reported.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        events: EventBus,
        clock: Clock,
        has_files: Callable[[CameraId], bool] = lambda _: False,
        kept: KeptControls | None = None,
    ) -> None:
        self._ledger = ledger
        self._has_files = has_files
        self._kept = kept
        self._events = events
        self._clock = clock
        #: Kept in the order of their numbers: lists are requested far more often than cameras are added.
        self._cameras: dict[CameraId, Camera] = {}
        self._ids: dict[_Key, CameraId] = {}

    def list(self) -> list[Camera]:
        """Return all cameras, including disconnected ones and without removed ones, in the order of their numbers."""
        return [each for each in self._cameras.values() if not each.removed]

    def with_removed(self) -> Sequence[Camera]:
        """Return all cameras like `list`, and those that were removed and may still have paths and files."""
        return [*self._cameras.values()]

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the cameras; a camera's series end when it is no longer listed."""
        statuses: dict[tuple[str, ...], float] = dict.fromkeys(((each.value,) for each in CameraStatus), 0)
        registry.gauge(
            "camera_agent_cameras",
            "Cameras by status.",
            lambda: {**statuses, **Counter((each.status.value,) for each in self.list())},
            labels=("status",),
        )
        registry.gauge(
            "camera_agent_camera_connected",
            "1 while a camera is connected and works, else 0.",
            lambda: {(each.id,): int(each.status is CameraStatus.CONNECTED) for each in self.list()},
            labels=("camera",),
        )
        registry.gauge(
            "camera_agent_camera_uptime_seconds",
            "Time since a camera was connected; absent while it is not.",
            lambda: {
                (each.id,): self._clock.monotonic_s() - each.since_s
                for each in self.list()
                if each.status is CameraStatus.CONNECTED
            },
            labels=("camera",),
        )

    def get(self, text: str) -> Camera:
        """Return the camera named `text`.

        Raises:
            InvalidParams: it does not have the form of a camera's name.
            NotFound: there is no such camera.
        """
        camera = self._cameras.get(parse_camera_id(text))
        if camera is None:
            raise NotFound(
                f"There is no camera '{text}'.",
                resource="camera",
                id=text,
                suggestion="Call get_camera_list for the cameras that exist.",
            )
        return camera

    def restore(self, sources: Iterable[str]) -> None:
        """Add the ledger's cameras of these sources as disconnected, until a source reports them."""
        wanted = set(sources)
        for known in self._ledger.known:
            if known.fingerprint.source in wanted:
                detected = DetectedCamera("", known.name, known.fingerprint, None)
                self._put(
                    Camera(
                        known.id,
                        CameraStatus.DISCONNECTED,
                        self._clock.monotonic_s(),
                        detected,
                        "It was removed." if known.removed else "Not seen yet.",
                        removed=known.removed,
                    )
                )

    def connected(self, source: str, detected: DetectedCamera) -> None:
        """Take over `detected`, which a source has seen for the first time or again."""
        self._seen(source, detected, CameraStatus.CONNECTED)

    def disconnected(self, source: str, key: str, reason: str) -> None:
        camera_id = self._ids.pop(_Key(source, key), None)
        if camera_id is not None:
            before = self._cameras[camera_id]
            gone = replace(before.detected, frames=None, device=None, media_input=None, panel=None)
            self._change(replace(before, status=CameraStatus.DISCONNECTED, detected=gone, problem=reason))

    def failed(self, source: str, key: str, reason: str, detected: DetectedCamera | None = None) -> None:
        """Set a camera's status to ERROR; with `detected`, also that of a camera not reported before."""
        camera_id = self._ids.get(_Key(source, key))
        if detected is not None:
            self._seen(source, detected, CameraStatus.ERROR, reason)
        elif camera_id is not None:
            self._change(replace(self._cameras[camera_id], status=CameraStatus.ERROR, problem=reason))

    def removed(self, source: str, key: str, reason: str) -> None:
        """Give up a camera that its source reports no more; its id stays for its return."""
        before = self._reported(source, key)
        if before is None:
            return
        self._ids.pop(_Key(source, key), None)
        camera_id = before.id
        gone = replace(before.detected, frames=None, device=None, media_input=None, gate=None, panel=None)
        self._ledger.remember(Known(camera_id, gone.fingerprint, gone.name, removed=True))
        self._change(
            replace(before, status=CameraStatus.DISCONNECTED, detected=gone, problem=reason, removed=True)
        )
        self._forget_oldest()

    def controls_read(self, camera: CameraId, controls: tuple[Control, ...]) -> None:
        """Take over the controls of a camera as they were read last."""
        before = self._cameras.get(camera)
        if before is not None:
            self._put(replace(before, detected=replace(before.detected, controls=controls)))

    def controls_reported(self, source: str, key: str, changed: ChangedControls) -> None:
        """Take over what a source tells about a camera's controls; publish the outcomes of kept values."""
        camera = self._ids.get(_Key(source, key))
        if camera is None:
            return
        self.controls_read(camera, changed.controls)
        for each in changed.outcomes:
            if each.status is not ControlStatus.APPLIED:
                _log.warning(
                    "the kept value of the control %s: %s",
                    each.name,
                    each.reason,
                    extra={"fields": {"camera": camera}},
                )
        if changed.outcomes:
            event = ControlsEvent(camera, changed.outcomes, ControlCause.KEPT)
            self._events.publish("camera.controls", event, camera=camera)

    def _forget_oldest(self) -> None:
        """Forget the cameras that were removed longest ago and have no files, so that their number is bounded.

        A camera with files is never forgotten: another one with its id would seem to have recorded them.
        """
        removed = [each.id for each in self._ledger.known if each.removed]
        for each in removed[: max(0, min(len(removed) - REMOVED_KEPT, _FORGOTTEN_AT_ONCE))]:
            if not self._has_files(each):
                self._ledger.forget(each)
                self._cameras.pop(each, None)

    def _reported(self, source: str, key: str) -> Camera | None:
        """Return the camera that the source last reported with this key, connected or not."""
        for each in self._cameras.values():
            if (each.detected.fingerprint.source, each.detected.key) == (source, key) and not each.removed:
                return each
        return None

    def _seen(self, source: str, detected: DetectedCamera, status: CameraStatus, problem: str = "") -> None:
        key = _Key(source, detected.key)
        if key in self._ids:
            camera = replace(self._cameras[self._ids[key]], status=status, detected=detected, problem=problem)
        else:
            identity = self._identify(detected)
            self._ids[key] = identity.id
            camera = Camera(
                identity.id,
                status,
                self._clock.monotonic_s(),
                detected,
                problem,
                identity.ambiguous,
                moved=identity.moved,
            )
        self._ledger.remember(Known(camera.id, detected.fingerprint, detected.name))
        if detected.panel is not None and self._kept is not None:
            self._kept.give(camera.id, detected.panel)  # before a client can know of the camera
        self._change(camera)
        self._doubt_serial_of(camera)

    def _identify(self, detected: DetectedCamera) -> Identity:
        present = [each for each in self._cameras.values() if each.status is not CameraStatus.DISCONNECTED]
        identity = identify(
            detected,
            self._ledger.known,
            {each.id for each in present},
            {each.id for each in present if each.ambiguous},
        )
        fields = {"fields": {"camera": identity.id}}
        if identity.moved:
            _log.warning("%s is on another port than last time", detected.name, extra=fields)
        if identity.ambiguous:
            _log.warning("%s may be another camera of the same make", detected.name, extra=fields)
        if detected.configured_id not in (None, identity.id):
            _log.error(
                "%s is configured as %s, but another connected camera has that id",
                detected.name,
                detected.configured_id,
                extra=fields,
            )
        return identity

    def _doubt_serial_of(self, camera: Camera) -> None:
        """Mark all connected cameras with this serial number as ambiguous: it does not distinguish them."""
        serial, source = camera.detected.fingerprint.serial, camera.detected.fingerprint.source
        if serial is None or not camera.ambiguous:
            return
        for each in self.with_removed():
            known = each.detected.fingerprint
            if each.status is not CameraStatus.DISCONNECTED and (known.serial, known.source) == (
                serial,
                source,
            ):
                self._change(replace(each, ambiguous=True))

    def source_failed(self, source: str, reason: str) -> None:
        """Disconnect all cameras of a failed source, until it reports them again."""
        for each in [key for key in self._ids if key.source == source]:
            self.disconnected(source, each.key, reason)

    def _put(self, camera: Camera) -> None:
        is_new = camera.id not in self._cameras
        self._cameras[camera.id] = camera
        if is_new:
            ids = sorted(self._cameras, key=lambda each: int(each.removeprefix("camera")))
            self._cameras = {each: self._cameras[each] for each in ids}

    def _change(self, camera: Camera) -> None:
        """Store `camera` with the time of its last status change, and publish an event if anything changed."""
        before = self._cameras.get(camera.id)
        same_status = before is not None and before.status is camera.status
        since_s = before.since_s if before is not None and same_status else self._clock.monotonic_s()
        camera = replace(camera, since_s=since_s)
        self._put(camera)
        if camera == before:
            return
        topic = "camera.status_change"
        if not same_status and camera.status is CameraStatus.DISCONNECTED:
            topic = "camera.disconnected"
        elif camera.status is CameraStatus.CONNECTED and (
            before is None or before.status is CameraStatus.DISCONNECTED
        ):
            topic = "camera.connected"
        _log.info(
            "%s: %s %s",
            camera.name,
            camera.status.value.lower(),
            camera.problem,
            extra={"fields": {"camera": camera.id}},
        )
        self._events.publish(topic, CameraEvent(topic, camera), camera=camera.id)


class SourceReport:
    """`CameraReport` of one source. Raises PluginError to a source that reports unusable values."""

    def __init__(self, registry: CameraRegistry, source: str) -> None:
        self._registry = registry
        self._source = source

    def connected(self, camera: DetectedCamera) -> None:
        self._registry.connected(self._source, self._ours(camera))

    def disconnected(self, key: str, reason: str) -> None:
        self._registry.disconnected(self._source, key, checked_reason(self._source, reason))

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        detected = None if camera is None else self._ours(camera)
        self._registry.failed(self._source, key, checked_reason(self._source, reason), detected)

    def removed(self, key: str, reason: str) -> None:
        self._registry.removed(self._source, key, checked_reason(self._source, reason))

    def controls(self, key: str, changed: ChangedControls) -> None:
        self._registry.controls_reported(self._source, key, checked_controls(self._source, changed))

    def _ours(self, camera: DetectedCamera) -> DetectedCamera:
        camera = checked_camera(self._source, camera)
        return replace(camera, fingerprint=replace(camera.fingerprint, source=self._source))
