"""Sightings of live streams in the media server's answers, without I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath
from agent_core.streams.tracks import codec_name

__all__ = ("FORGOTTEN_AFTER_S", "Sightings")

#: Age at which a sighting says nothing any more: two intervals of the keeper's comparison of all paths.
FORGOTTEN_AFTER_S = 10.0
#: Streams whose tracks are kept, many times the cameras of one agent.
_KEPT_TRACKS = 1000


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Stream that is live since `since_s`, last seen at `seen_s`; `server_since` tells it from another of its path."""

    since_s: float
    seen_s: float
    server_since: datetime | None


class Sightings:
    """Tells since when each camera's stream is live, from the times of the answers (monotonic).

    The server's own time of the start is a time of its wall clock, which may be set at any time; it serves only to
    tell one stream of a path from the next.
    """

    def __init__(self) -> None:
        self._last: dict[CameraId, _Sighting] = {}
        self._tracks: dict[CameraId, tuple[str, ...]] = {}

    def saw(self, camera: CameraId, path: RuntimePath | None, now_s: float) -> None:
        """Record an answer of the server for one path; None if it has no such path."""
        if path is None or not path.live:
            self._last.pop(camera, None)
            return
        last = self._last.get(camera)
        is_same = last is not None and last.server_since == path.live_since
        since_s = last.since_s if last is not None and is_same else now_s
        self._last[camera] = _Sighting(since_s, now_s, path.live_since)
        if path.tracks:
            self._tracks[camera] = tuple(map(codec_name, path.tracks))
            if len(self._tracks) > _KEPT_TRACKS:
                del self._tracks[next(iter(self._tracks))]

    def tracks(self, camera: CameraId) -> tuple[str, ...]:
        """Return the codecs of the camera's stream when it was last live; empty if it was not seen live."""
        return self._tracks.get(camera, ())

    def saw_all(self, paths: Iterable[RuntimePath], now_s: float) -> None:
        """Record an answer of the server that has all its paths."""
        live = {CameraId(path.name): path for path in paths if path.live}
        for camera in {*self._last, *live}:
            self.saw(camera, live.get(camera), now_s)

    def ended(self, camera: CameraId) -> None:
        """Record that the stream has ended, as a reader of it has noticed."""
        self._last.pop(camera, None)

    def since_s(self, camera: CameraId, now_s: float) -> float | None:
        """Return the time since when the stream is live; None if it is not, or has not been seen for a while."""
        last = self._last.get(camera)
        if last is None or now_s - last.seen_s > FORGOTTEN_AFTER_S:
            return None
        return last.since_s
