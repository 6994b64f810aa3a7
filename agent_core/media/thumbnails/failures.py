"""Files of which no thumbnail could be made, remembered so that they are not tried at each view.

A module of its own: it decides without I/O.
"""

from collections import OrderedDict
from dataclasses import dataclass

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, Unsupported

__all__ = ("Failures", "refusal")

#: Failures that are kept; one more drops the oldest.
MOST = 1000
#: Time after which a file is tried again whose content need not be the cause.
RETRY_S = 30.0
#: Reasons that lie in the content of a file: only another version of it can do better.
_LASTING = frozenset({"picture_damaged", "picture_too_large", "no_picture"})
_FEATURE = "thumbnails"
_SUGGESTION = "Download the file itself to see what it holds."


@dataclass(frozen=True, slots=True)
class _Failure:
    version: str
    until_s: float
    reason: str
    details: str
    suggestion: str


def refusal(error: AgentError) -> Unsupported:
    """Return the answer to clients for `error`, which kept a thumbnail from being made."""
    suggestion = _SUGGESTION if error.reason in _LASTING else error.suggestion
    return Unsupported(
        f"There is no thumbnail of this file: {error.details}",
        feature=_FEATURE,
        reason=error.reason,
        suggestion=suggestion,
    )


class Failures:
    """The latest failures, each with its answer to clients."""

    def __init__(self, clock: Clock, *, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._known: OrderedDict[str, _Failure] = OrderedDict()

    def check(self, key: str, version: str) -> None:
        """Raise Unsupported if this version of the file failed, and may not yet be tried again."""
        known = self._known.get(key)
        if known is None:
            return
        if known.version == version and self._clock.monotonic_s() < known.until_s:
            raise Unsupported(
                known.details, feature=_FEATURE, reason=known.reason, suggestion=known.suggestion
            )
        del self._known[key]

    def keep(self, key: str, version: str, error: Unsupported, *, is_growing: bool) -> None:
        """Remember a refusal; that of a growing file, or one for a passing reason, for some seconds."""
        lasts = error.reason in _LASTING and not is_growing
        until_s = float("inf") if lasts else self._clock.monotonic_s() + RETRY_S
        self._known.pop(key, None)
        self._known[key] = _Failure(version, until_s, error.reason, error.details, error.suggestion)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
