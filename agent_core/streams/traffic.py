"""Traffic of the media server's paths, from the answers that the agent gets anyway."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent_core.base.metrics import Rising
from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath
from agent_core.streams.sightings import FORGOTTEN_AFTER_S

__all__ = ("PathTraffic", "TrafficMeter", "TrafficTotals")


@dataclass(frozen=True, slots=True)
class PathTraffic:
    """Traffic of a camera's path.

    Attributes:
        is_live: it has a stream that can be read; False if that is not known.
        viewers: readers without the agent's own.
        received_bytes, sent_bytes: sums over all its streams that the agent has seen since its own start.
    """

    is_live: bool = False
    viewers: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TrafficTotals:
    """Number of the server's paths, of the live ones, and of all their viewers; 0 while the server is silent."""

    paths: int
    live: int
    viewers: int


@dataclass(frozen=True, slots=True)
class _Look:
    """One path at the last answer, at `seen_s` (monotonic)."""

    is_live: bool
    viewers: int
    seen_s: float


class TrafficMeter:
    """Remembers the last answer about each path, and adds up the bytes of the cameras' streams.

    The server counts each stream from zero; the sums do not fall when a camera is plugged in again. An answer older than
    `FORGOTTEN_AFTER_S` counts as none.

    Args:
        viewers: counts the readers of a path that are not the agent.
        is_ours: returns True for the path of a camera of this agent; the bytes of others are not counted.
    """

    def __init__(self, *, viewers: Callable[[RuntimePath], int], is_ours: Callable[[CameraId], bool]) -> None:
        self._viewers = viewers
        self._is_ours = is_ours
        self._looks: dict[str, _Look] = {}
        self._received: defaultdict[CameraId, Rising] = defaultdict(Rising)
        self._sent: defaultdict[CameraId, Rising] = defaultdict(Rising)

    def saw(self, name: str, path: RuntimePath | None, now_s: float) -> None:
        """Take in an answer for the path `name`; None if the server has no such path."""
        if path is None:
            self._looks.pop(name, None)
            return
        self._looks[name] = _Look(path.live, self._viewers(path), now_s)
        camera = CameraId(name)
        if path.live and self._is_ours(camera):
            self._received[camera].saw({path.live_since: path.inbound_bytes})
            self._sent[camera].saw({path.live_since: path.outbound_bytes})

    def saw_all(self, paths: Iterable[RuntimePath], now_s: float) -> None:
        """Take in an answer that has all paths of the server."""
        present = {path.name: path for path in paths}
        for name in {*self._looks, *present}:
            self.saw(name, present.get(name), now_s)

    def totals(self, now_s: float) -> TrafficTotals:
        """Return the numbers over all paths of the server, those of other clients included."""
        looks = [each for each in self._looks.values() if now_s - each.seen_s <= FORGOTTEN_AFTER_S]
        return TrafficTotals(
            paths=len(looks),
            live=sum(each.is_live for each in looks),
            viewers=sum(each.viewers for each in looks),
        )

    def by_camera(self, cameras: Iterable[CameraId], now_s: float) -> Mapping[CameraId, PathTraffic]:
        """Return the traffic of each of `cameras`."""
        return {each: self._of(each, now_s) for each in cameras}

    def _of(self, camera: CameraId, now_s: float) -> PathTraffic:
        look = self._looks.get(camera)
        is_known = look is not None and now_s - look.seen_s <= FORGOTTEN_AFTER_S
        received, sent = self._received.get(camera), self._sent.get(camera)
        return PathTraffic(
            is_live=look.is_live if look is not None and is_known else False,
            viewers=look.viewers if look is not None and is_known else 0,
            received_bytes=received.total if received else 0,
            sent_bytes=sent.total if sent else 0,
        )
