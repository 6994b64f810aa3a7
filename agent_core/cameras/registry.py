"""The only place that maps between public ids and what sources report."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent_core.cameras.identity import Known, identify
from agent_core.cameras.ledger import Ledger
from agent_core.clock import Clock
from agent_core.errors import InvalidParams, NotFound
from agent_core.events import EventBus
from agent_core.models import (
    CAMERA_ID,
    Camera,
    CameraEvent,
    CameraId,
    CameraStatus,
    DetectedCamera,
)

__all__ = ("CameraRegistry", "SourceReport", "parse_camera_id")

_log = logging.getLogger("camera_agent.cameras")


def parse_camera_id(text: str) -> CameraId:
    """`text` as an id.

    Raises:
        InvalidParams: it does not have the form of one.
    """
    if not CAMERA_ID.fullmatch(text):
        raise InvalidParams(
            "A camera is named 'camera' and a number.", param="device", rule="camera[0-9]+", hint="camera0"
        )
    return CameraId(text)


@dataclass(frozen=True, slots=True)
class _Key:
    source: str
    key: str


class CameraRegistry:
    """Every camera the agent knows, under its id. Changes are published as events in the order they happen."""

    def __init__(self, ledger: Ledger, *, events: EventBus, clock: Clock) -> None:
        self._ledger = ledger
        self._events = events
        self._clock = clock
        #: In the order of their numbers: a list is asked for far more often than a camera is new.
        self._cameras: dict[CameraId, Camera] = {}
        self._ids: dict[_Key, CameraId] = {}

    def list(self) -> list[Camera]:
        """All cameras, disconnected ones included, in the order of their numbers."""
        return [*self._cameras.values()]

    def get(self, text: str) -> Camera:
        """The camera that a caller names.

        Raises:
            InvalidParams: not the form of a camera's name.
            NotFound: no such camera.
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
        """List the ledger's cameras of these sources as disconnected until they are seen."""
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
                        "Not seen yet.",
                    )
                )

    def connected(self, source: str, detected: DetectedCamera) -> None:
        """A source has seen `detected`, for the first time or again."""
        key = _Key(source, detected.key)
        camera_id, ambiguous = self._ids.get(key), False
        if camera_id is None:
            camera_id, ambiguous = self._identify(detected)
            self._ids[key] = camera_id
        else:
            ambiguous = self._cameras[camera_id].ambiguous
        self._ledger.remember(Known(camera_id, detected.fingerprint, detected.name))
        self._change(camera_id, CameraStatus.CONNECTED, detected, ambiguous=ambiguous)

    def _identify(self, detected: DetectedCamera) -> tuple[CameraId, bool]:
        taken = {each.id for each in self._cameras.values() if each.status is not CameraStatus.DISCONNECTED}
        identity = identify(detected, self._ledger.known, taken)
        if identity.moved or identity.ambiguous:
            words = [
                word for word, so in (("moved", identity.moved), ("ambiguous", identity.ambiguous)) if so
            ]
            _log.warning(
                "%s was recognised, but it is %s",
                detected.name,
                " and ".join(words),
                extra={"fields": {"camera": identity.id}},
            )
        if detected.configured_id not in (None, identity.id):
            _log.error(
                "%s is configured as %s, which another camera has",
                detected.name,
                detected.configured_id,
                extra={"fields": {"camera": identity.id}},
            )
        return identity.id, identity.ambiguous

    def disconnected(self, source: str, key: str, reason: str) -> None:
        camera_id = self._ids.pop(_Key(source, key), None)
        if camera_id is not None:
            gone = replace(self._cameras[camera_id].detected, frames=None, media_input=None)
            self._change(camera_id, CameraStatus.DISCONNECTED, gone, reason)

    def failed(self, source: str, key: str, reason: str) -> None:
        camera_id = self._ids.get(_Key(source, key))
        if camera_id is not None:
            self._change(camera_id, CameraStatus.ERROR, self._cameras[camera_id].detected, reason)

    def source_failed(self, source: str, reason: str) -> None:
        """All cameras of a source that has ended with an error are gone until it reports them again."""
        for each in [key for key in self._ids if key.source == source]:
            self.disconnected(source, each.key, reason)

    def _put(self, camera: Camera) -> None:
        is_new = camera.id not in self._cameras
        self._cameras[camera.id] = camera
        if is_new:
            ids = sorted(self._cameras, key=lambda each: int(each.removeprefix("camera")))
            self._cameras = {each: self._cameras[each] for each in ids}

    def _change(
        self,
        camera_id: CameraId,
        status: CameraStatus,
        detected: DetectedCamera,
        problem: str = "",
        *,
        ambiguous: bool = False,
    ) -> None:
        before = self._cameras.get(camera_id)
        same_status = before is not None and before.status is status
        since_s = before.since_s if before is not None and same_status else self._clock.monotonic_s()
        camera = Camera(camera_id, status, since_s, detected, problem, ambiguous)
        self._put(camera)
        if camera == before:
            return
        topic = "camera.status_change"
        if not same_status and status is CameraStatus.DISCONNECTED:
            topic = "camera.disconnected"
        elif status is CameraStatus.CONNECTED and (
            before is None or before.status is CameraStatus.DISCONNECTED
        ):
            topic = "camera.connected"
        _log.info(
            "%s: %s %s", detected.name, status.value.lower(), problem, extra={"fields": {"camera": camera_id}}
        )
        self._events.publish(topic, CameraEvent(topic, camera))


class SourceReport:
    """The `CameraReport` that one source is lent."""

    def __init__(self, registry: CameraRegistry, source: str) -> None:
        self._registry = registry
        self._source = source

    def connected(self, camera: DetectedCamera) -> None:
        fingerprint = replace(camera.fingerprint, source=self._source)
        self._registry.connected(self._source, replace(camera, fingerprint=fingerprint))

    def disconnected(self, key: str, reason: str) -> None:
        self._registry.disconnected(self._source, key, reason)

    def failed(self, key: str, reason: str) -> None:
        self._registry.failed(self._source, key, reason)
