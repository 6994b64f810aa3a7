"""Refusals of messages from strangers: counted, told rarely, and answered rarely.

Apart from `desk`, so that the rates are tried without messages.
"""

import logging
from collections import Counter

from agent_core.plugin import Clock
from mqtt_bridge.calls.budget import Budget

__all__ = ("Refusals",)

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
#: Shortest time between two lines in the log.
_PAUSE_S = 60.0
#: Error replies for each key: this many at once, and one per second.
_BURST, _PER_S = 10, 1
#: Keys whose replies are counted; each has signed, so there are not many.
_MOST_KEYS = 1000


class Refusals:
    """Count of refused messages by reason. Neither the log nor the replies grow with what strangers send."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._told_at_s: float | None = None
        self._budgets: dict[str, Budget] = {}

    def note(self, reason: str) -> None:
        """Count a refusal. The log gets one line per minute at most, with all since the last one."""
        self.counts[reason] += 1
        self._untold[reason] += 1
        now_s = self._clock.monotonic_s()
        if self._told_at_s is not None and now_s - self._told_at_s < _PAUSE_S:
            return
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(self._untold.items()))
        self._untold.clear()
        self._told_at_s = now_s
        _LOG.warning("Messages that ask for calls were refused: %s. See docs/mqtt-calls.md.", told)

    def may_answer(self, key_id: str) -> bool:
        """Count an error reply to a call of a key that was refused; return False if it had too many."""
        now_s = self._clock.monotonic_s()
        budget = self._budgets.get(key_id)
        if budget is None:
            if len(self._budgets) >= _MOST_KEYS:
                self._budgets.clear()
            budget = self._budgets[key_id] = Budget(_BURST, _PER_S, now_s)
        return budget.take(1, now_s)
