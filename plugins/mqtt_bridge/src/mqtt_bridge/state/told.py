"""Facts that only events tell: the newest recording and the newest picture of each camera."""

from dataclasses import dataclass

from pydantic import ValidationError

from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent
from mqtt_bridge.state.answers import Answer

__all__ = ("NewestPicture", "ToldFacts", "ToldRecording")


class ToldRecording(Answer):
    """Params of `recording_status_update`."""

    device: str
    status: str
    filename: str
    reason: str | None = None
    timestamp: str


@dataclass(frozen=True, slots=True)
class NewestPicture:
    """Capture time, as on the wire, and name of the tier of a picture."""

    captured_at: str
    tier: str


class _Snapshot(Answer):
    device: str
    captured_at: str
    tier_name: str


class ToldFacts:
    """Newest recordings and pictures by camera. Forgets cameras that are not listed any more."""

    topics = ("recording_status_update", "snapshot.taken")

    def __init__(self) -> None:
        self.recordings: dict[str, ToldRecording] = {}
        self.pictures: dict[str, NewestPicture] = {}

    def take(self, event: AgentEvent) -> None:
        """Note what an event tells; an event of another form tells nothing.

        After lost events nothing is known of recordings, which may have ended and begun again.
        """
        if event.topic == EVENTS_DROPPED:
            self.recordings.clear()
            return
        try:
            if event.topic == "recording_status_update":
                recording = ToldRecording.model_validate(event.params)
                self.recordings[recording.device] = recording
            elif event.topic == "snapshot.taken":
                snapshot = _Snapshot.model_validate(event.params)
                self.note_picture(snapshot.device, NewestPicture(snapshot.captured_at, snapshot.tier_name))
        except ValidationError:
            return

    def note_picture(self, camera: str, picture: NewestPicture) -> None:
        """Note a picture, unless a newer one is known. Times of one form compare as texts."""
        before = self.pictures.get(camera)
        if before is None or before.captured_at <= picture.captured_at:
            self.pictures[camera] = picture

    def keep_only(self, cameras: tuple[str, ...]) -> None:
        """Forget what was told of other cameras, so that what is gone takes no memory."""
        for facts in (self.recordings, self.pictures):
            for gone in [camera for camera in facts if camera not in cameras]:
                del facts[gone]
