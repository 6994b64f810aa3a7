"""Decisions about outages of the broker: when to try again, and what to tell. Apart from the connection, which does I/O."""

import random

from agent_core.plugin import GrowingPauses
from mqtt_bridge.broker.reasons import TAKEN_OVER, BrokerProblem

__all__ = ("Outages",)

#: Longest pause between attempts, unless the first one is longer.
_LONGEST_S = 60.0
#: Share of a pause that is not left to chance.
_SURE = 0.1
#: Pauses after another client took the connection: two agents with one id would drive each other out without end.
_TAKEN_FIRST_S, _TAKEN_LONGEST_S = 60.0, 900.0
#: Length of a connection after which the next outage is a new one.
_STEADY_S, _TAKEN_STEADY_S = 60.0, 3600.0


class Outages:
    """Memory of the outages since the connection was last steady.

    Args:
        spread_s: longest pause before the first attempt. All agents lose a broker that restarts at once, and come back
            spread over this time; after each further failure the time is twice as long.
        chance: source of the spread of pauses.
    """

    def __init__(self, spread_s: float, chance: random.Random | None = None) -> None:
        self._chance = random.SystemRandom() if chance is None else chance
        self._pauses = GrowingPauses(spread_s, max(spread_s, _LONGEST_S))
        self._taken_pauses = GrowingPauses(_TAKEN_FIRST_S, _TAKEN_LONGEST_S)
        self._told: set[str] = set()
        self._is_loss_told = False

    def ended(self, problem: BrokerProblem, lasted_s: float) -> bool:
        """Note that an attempt or a connection has ended; return True if that is worth a line in the log.

        Args:
            problem: reason of the end.
            lasted_s: how long the connection lasted; 0 if there was none.
        """
        if lasted_s >= _STEADY_S:
            self._told.clear()
            self._pauses.reset()
        if lasted_s >= _TAKEN_STEADY_S:
            self._taken_pauses.reset()
        if problem.reason in self._told:
            return False
        self._told.add(problem.reason)
        self._is_loss_told = True
        return True

    def connected(self) -> bool:
        """Note that there is a connection; return True if a loss was told and its end is worth a line, too."""
        is_told, self._is_loss_told = self._is_loss_told, False
        return is_told

    def pause_s(self, problem: BrokerProblem) -> float:
        """Return the time until the next attempt."""
        pauses = self._taken_pauses if problem.reason == TAKEN_OVER else self._pauses
        return pauses.next_s() * self._chance.uniform(_SURE, 1.0)
