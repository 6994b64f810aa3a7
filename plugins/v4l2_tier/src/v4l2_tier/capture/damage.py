"""Damaged frames of one stream: how many, why, and what to advise; sans-I/O."""

from collections import Counter, deque

from agent_core.plugin import CaptureFailed

__all__ = ("Damage", "JpegsDamaged")

#: Frames among which the share of unreadable JPEGs is judged: some seconds, so that a burst of interference is not all.
_RECENT_FRAMES = 150
#: The newest frames, of which most must be unreadable, too: what has passed needs no change.
_NEWEST_FRAMES = 30
#: Seconds after which a stream without any other frame is judged; many cameras begin with some that are damaged.
_START_S = 2.0
#: Share of unreadable JPEGs above which another format is expected to show more.
_MOST_SHARE = 0.5

_CABLE = "Check the camera's cable and hub, or choose a smaller size or a lower frame rate."
#: Faults of `JpegError` that a lost end of the data explains.
_CUT_SHORT = frozenset({"its end is missing", "it ends inside its header"})


class JpegsDamaged(CaptureFailed):
    """The camera's JPEGs cannot be read, though its driver reports no error."""


class Damage:
    """Damage of the frames of one stream.

    Args:
        code: the pixel format of the stream.
        others: the uncompressed formats that the camera offers and the agent can encode.
        can_change: the producer may change the format, so that JPEGs that are mostly damaged need not be endured.
    """

    def __init__(self, code: str, others: tuple[str, ...] = (), *, can_change: bool = False) -> None:
        self._code = code
        self._others = others
        self.can_change = can_change
        self._is_told = False
        self._since_good: Counter[str] = Counter()
        self._fault = ""
        self._recent: deque[bool] = deque(maxlen=_RECENT_FRAMES)

    @property
    def count(self) -> int:
        """Number of damaged frames since the last good one."""
        return self._since_good.total()

    def note_good(self) -> None:
        """Count a whole frame."""
        self._since_good.clear()
        self._recent.append(False)

    def note_bad(self, reason: str) -> None:
        """Count a frame that is damaged according to the driver or by its length."""
        self._since_good[reason] += 1

    def note_unreadable(self, fault: str) -> None:
        """Count a JPEG that is not whole; `fault` is the clause of its JpegError."""
        self._since_good["damaged"] += 1
        self._fault = fault
        self._recent.append(True)

    def prevails(self, streaming_s: float) -> bool:
        """Return True if most JPEGs of the last seconds could not be read, `streaming_s` after the stream's start."""
        newest = [*self._recent][-_NEWEST_FRAMES:]
        if sum(newest) <= _MOST_SHARE * _NEWEST_FRAMES:
            return False
        only_bad = all(self._recent) and streaming_s >= _START_S
        is_judged = len(self._recent) == _RECENT_FRAMES or only_bad
        return is_judged and sum(self._recent) > _MOST_SHARE * len(self._recent)

    def only_damaged(self, limit_s: float) -> CaptureFailed:
        """Return the error for a stream without a whole frame for `limit_s` seconds."""
        text = f"The camera delivered only damaged pictures for {limit_s:g} s."
        if self._since_good.most_common(1)[0][0] != "damaged":
            return CaptureFailed(text, reason="frames_damaged", suggestion=_CABLE)
        return self._unreadable(text)

    def mostly_damaged(self) -> CaptureFailed:
        """Return the error for a stream of which most frames could not be read."""
        share = round(100 * sum(self._recent) / len(self._recent))
        return self._unreadable(f"{share} % of the camera's last pictures were damaged.")

    def advice_once(self) -> str:
        """Return what the log should say of a stream that goes on though most frames cannot be read; empty later."""
        if self._is_told:
            return ""
        self._is_told = True
        error = self.mostly_damaged()
        return f"{error.details} {error.suggestion}"

    def _unreadable(self, text: str) -> "JpegsDamaged":
        return JpegsDamaged(
            f"{text} The last one ({self._code}) is not whole: {self._fault}.",
            reason="frames_damaged",
            suggestion=f"{self._advice()}{self._other_format()}",
        )

    def _advice(self) -> str:
        if self._fault in _CUT_SHORT:
            return (
                "Choose a smaller size or a lower frame rate, or another USB port or cable: the ends of the pictures"
                ' get lost. If they look right all the same, set jpeg_check = "off".'
            )
        return "The camera's own JPEGs are faulty, or a cable or hub damages them."

    def _other_format(self) -> str:
        if not self._others:
            return ""
        return f' Or set pixel_format = "{self._others[0]}", which the camera also offers.'
