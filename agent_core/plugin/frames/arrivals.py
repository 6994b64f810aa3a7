"""Arrival of a producer's pictures, and the judgement that it hangs. Without I/O; told the time."""

from agent_core.base.errors import CaptureFailed
from agent_core.plugin.frames.producer import BrokerSettings

__all__ = ("Arrivals",)


class Arrivals:
    """Record of one stream after the other of a producer, begun by `start`. Times are monotonic seconds."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.start(0.0)

    def start(self, now_s: float) -> None:
        """Begin with a new stream."""
        self._last_s = now_s
        self._has_any = False
        self._bad = 0
        #: Time at which a reader first missed a key frame. It may have left, and come again, until one comes.
        self._keyless_since_s: float | None = None

    def note_bad(self) -> None:
        """Note a damaged picture."""
        self._bad += 1

    def note(self, now_s: float, *, can_begin: bool, is_awaited: bool, is_good: bool = True) -> None:
        """Note pictures.

        Args:
            now_s: time of their arrival.
            can_begin: a reader can begin with them, or with those before.
            is_awaited: a reader waits to begin.
            is_good: a reader that has begun can use them.
        """
        self._last_s = now_s
        self._has_any = True
        if is_good:
            self._bad = 0
        if can_begin:
            self._keyless_since_s = None
        elif self._keyless_since_s is None and (is_awaited or not is_good):
            self._keyless_since_s = now_s

    @property
    def has_any(self) -> bool:
        """True once pictures have come."""
        return self._has_any

    def due_s(self, now_s: float) -> float:
        """Return the time at which to look again; the first picture shortens the limit meanwhile."""
        return min(self._last_s + self._limit_s, now_s + self._settings.stall_s)

    def stall(self, now_s: float) -> CaptureFailed | None:
        """Return the error of a producer that is silent, or sends nothing that can be shown; None while all is well."""
        keyless_since_s, settings = self._keyless_since_s, self._settings
        if now_s >= self._last_s + self._limit_s:
            return self._silence()
        if keyless_since_s is not None and now_s >= keyless_since_s + settings.key_frame_s:
            return CaptureFailed(
                f"The camera sends pictures, but no key frame to begin with for {settings.key_frame_s:g} s.",
                reason="no_key_frame",
                suggestion="Set a shorter interval of key frames in the camera, or choose another pixel format.",
            )
        return None

    @property
    def _limit_s(self) -> float:
        return self._settings.stall_s if self._has_any else self._settings.first_frame_s

    def _silence(self) -> CaptureFailed:
        limit_s = self._limit_s
        if self._bad:
            return CaptureFailed(
                f"The camera delivered only damaged pictures for {limit_s:g} s.",
                reason="frames_damaged",
                suggestion="Check the camera's cable and hub; a smaller picture or lower rate may help.",
            )
        return CaptureFailed(
            f"The camera delivered no picture for {round(limit_s, 1):g} s.", reason="camera_stalled"
        )
