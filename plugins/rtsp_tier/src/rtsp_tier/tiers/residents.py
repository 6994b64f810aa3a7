"""Choice of the cameras whose streams are kept open between pictures. No I/O; told the time."""

from collections.abc import Collection
from dataclasses import dataclass

from agent_core.plugin import CameraId

__all__ = ("Admission", "Residents", "ResidentsPolicy")


@dataclass(frozen=True, slots=True)
class ResidentsPolicy:
    """Limits of resident readers.

    Attributes:
        limit: most readers at a time.
        within_s: a camera gets a reader when it is photographed again within this time.
        ttl_s: a reader is closed this long after its last picture.
    """

    limit: int
    within_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Admission:
    """Answer for a camera that has no reader: if it gets one, and which camera has to give up its own for that."""

    is_admitted: bool
    instead_of: CameraId | None = None


class Residents:
    """Remembers when each camera was last photographed, and which of them have a reader."""

    def __init__(self, policy: ResidentsPolicy) -> None:
        self._policy = policy
        self._photographed_s: dict[CameraId, float] = {}
        self._resident: set[CameraId] = set()

    def photographed(self, camera: CameraId, now_s: float) -> None:
        """Note that a picture of the camera was asked for. What no decision needs any more is forgotten."""
        keep_s = max(self._policy.within_s, self._policy.ttl_s)
        self._photographed_s = {
            each: at_s
            for each, at_s in self._photographed_s.items()
            if each in self._resident or now_s - at_s <= keep_s
        }
        self._photographed_s[camera] = now_s

    def admission(self, camera: CameraId, now_s: float, *, busy: Collection[CameraId]) -> Admission:
        """Decide about a reader for a camera that has none, before `photographed` is called for this picture.

        The least recently photographed camera gives up its reader, unless it is in `busy`.
        """
        last_s = self._photographed_s.get(camera)
        if self._policy.limit == 0 or last_s is None or now_s - last_s > self._policy.within_s:
            return Admission(is_admitted=False)
        if len(self._resident) < self._policy.limit:
            return Admission(is_admitted=True)
        free = [each for each in self._resident if each not in busy]
        if not free:
            return Admission(is_admitted=False)
        return Admission(is_admitted=True, instead_of=min(free, key=lambda each: self._photographed_s[each]))

    def opened(self, camera: CameraId) -> None:
        """Note that the camera has a reader now."""
        self._resident.add(camera)

    def closed(self, camera: CameraId) -> None:
        """Note that the camera has none any more."""
        self._resident.discard(camera)

    def expired(self, now_s: float) -> list[CameraId]:
        """Return the cameras whose readers have to be closed now."""
        return [each for each in self._resident if self._expires_s(each) <= now_s]

    def next_expiry_s(self) -> float | None:
        """Return when the next reader expires, on the same clock; None without readers."""
        return min(map(self._expires_s, self._resident), default=None)

    def _expires_s(self, camera: CameraId) -> float:
        return self._photographed_s[camera] + self._policy.ttl_s
