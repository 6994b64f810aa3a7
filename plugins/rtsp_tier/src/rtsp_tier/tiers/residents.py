"""Choice of the cameras whose streams are kept open between pictures. No I/O; told the time."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from agent_core.plugin import CameraId

__all__ = ("Admission", "Residents", "ResidentsPolicy", "View", "Way")

#: Shortest time between two checks of one reader.
_CHECK_S = 1.0


class Way(StrEnum):
    """Way to a camera's coded video: its stream of the media server, or its own frame socket."""

    STREAM = "stream"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class View:
    """Camera as seen one way; each may have a reader of its own."""

    camera: CameraId
    way: Way = Way.STREAM


@dataclass(frozen=True, slots=True)
class ResidentsPolicy:
    """Limits of resident readers.

    Attributes:
        limit: most readers at a time.
        within_s: a camera gets a reader when it is photographed again within this time; a frame socket is opened by the
            reader from the first picture on, if there is room.
        ttl_s: a reader is closed this long after its last picture.
        alone_s: the same for a reader whose stream has no other user. It would otherwise keep the camera on, and be
            the reason why the stream is live.
    """

    limit: int
    within_s: float
    ttl_s: float
    alone_s: float


@dataclass(frozen=True, slots=True)
class Admission:
    """Answer for a camera that has no reader: if it gets one, and which camera has to give up its own for that."""

    is_admitted: bool
    instead_of: View | None = None


class Residents:
    """Remembers when each camera was last photographed, and which of them have a reader."""

    def __init__(self, policy: ResidentsPolicy) -> None:
        self._policy = policy
        self._photographed_s: dict[View, float] = {}
        #: Time of the next check of each camera that has a reader.
        self._check_s: dict[View, float] = {}

    def photographed(self, view: View, now_s: float) -> None:
        """Note that a picture of the camera was taken. What no decision needs any more is forgotten."""
        keep_s = self._policy.within_s
        self._photographed_s = {
            each: at_s
            for each, at_s in self._photographed_s.items()
            if each in self._check_s or now_s - at_s <= keep_s
        }
        self._photographed_s[view] = now_s
        if view in self._check_s:
            self._check_s[view] = now_s + min(self._policy.alone_s, self._policy.ttl_s)

    def in_use(self, view: View, now_s: float) -> None:
        """Note that a picture is being taken with the camera's reader, which is checked again after a pause."""
        self.photographed(view, now_s)
        self._check_s[view] = max(self._check_s[view], now_s + _CHECK_S)

    def admission(self, view: View, now_s: float, *, busy: Collection[View]) -> Admission:
        """Decide about a reader for a camera that has none, before `photographed` is called for this picture.

        The least recently photographed camera that is not in `busy` gives up its reader, if it has not been photographed
        since this one was. Cameras that are photographed in turn would otherwise take the readers from each other,
        each just before it is of use.
        """
        last_s = self._photographed_s.get(view)
        has_room = len(self._check_s) < self._policy.limit
        if view.way is Way.SOCKET and has_room:
            return Admission(is_admitted=True)
        if self._policy.limit == 0 or last_s is None or now_s - last_s > self._policy.within_s:
            return Admission(is_admitted=False)
        if has_room:
            return Admission(is_admitted=True)
        free = [each for each in self._check_s if each not in busy and self._photographed_s[each] < last_s]
        if not free:
            return Admission(is_admitted=False)
        return Admission(is_admitted=True, instead_of=min(free, key=lambda each: self._photographed_s[each]))

    def opened(self, view: View, now_s: float) -> None:
        """Note that the camera has a reader now."""
        self._check_s[view] = now_s
        self.photographed(view, now_s)

    def closed(self, view: View) -> None:
        """Note that the camera has none any more."""
        self._check_s.pop(view, None)

    def due(self, now_s: float) -> list[View]:
        """Return the cameras whose readers have to be checked now: closed, or `keep` called."""
        return [each for each, at_s in self._check_s.items() if at_s <= now_s]

    def next_check_s(self) -> float | None:
        """Return when the next reader is due, on the same clock; None without readers."""
        return min(self._check_s.values(), default=None)

    def may_stay(self, view: View, now_s: float) -> bool:
        """Return True if the camera's reader may stay open, provided that its stream has other users."""
        return now_s < self._photographed_s[view] + self._policy.ttl_s

    def keep(self, view: View, now_s: float) -> None:
        """Note that the reader stays open, because its stream has other users."""
        again_s = now_s + max(self._policy.alone_s, _CHECK_S)
        self._check_s[view] = min(again_s, self._photographed_s[view] + self._policy.ttl_s)
