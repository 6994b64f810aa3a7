"""Reconnection of a client: pauses between attempts, and when to give up. Without I/O; the random part is passed in."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ("Pauses", "Reconnect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """Policy for connecting again after a break.

    Attributes:
        first_pause_s: pause before the first attempt.
        longest_pause_s: limit of the pause.
        factor: growth of the pause after each failed attempt.
        jitter: largest part of a pause, from 0 to 1, that is left out at random, so that the clients of one agent do
            not all come back at the same moment.
        stable_after_s: a connection that has lasted this long starts the pauses and attempts anew.
        attempts: failed attempts in a row after which the client gives up; None to try for as long as the program runs.
        repeat_reads: repeat calls that only read, such as `get_camera_list`, when a break has cut them off, and let
            them wait for the connection. Calls that may have an effect are never repeated.

    Raises:
        ValueError: a value is out of range.
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    factor: float = 2.0
    jitter: float = 0.5
    stable_after_s: float = 10.0
    attempts: int | None = None
    repeat_reads: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.first_pause_s <= self.longest_pause_s:
            raise ValueError("first_pause_s must be above 0 and at most longest_pause_s")
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ValueError("factor must be at least 1, and jitter between 0 and 1")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("attempts must be at least 1")


class Pauses:
    """Pauses of one client between its attempts to connect.

    Args:
        policy: limits of the pauses; None never connects again.
        random: returns a number from 0 to 1, as `random.random` does.
    """

    def __init__(self, policy: Reconnect | None, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._attempts = 0

    def after(self, connected_s: float, at_least_s: float = 0.0) -> float | None:
        """Return the pause in seconds before the next attempt; None to give up.

        Args:
            connected_s: how long the connection that broke has lasted; 0 if the attempt failed.
            at_least_s: pause that the agent has asked for, which may exceed the policy's longest.
        """
        policy = self._policy
        if policy is None:
            return None
        if connected_s >= policy.stable_after_s:
            self._attempts = 0
        if policy.attempts is not None and self._attempts >= policy.attempts:
            return None
        try:
            grown_s = policy.first_pause_s * policy.factor**self._attempts
        except OverflowError:
            grown_s = policy.longest_pause_s
        self._attempts += 1
        pause_s = min(grown_s, policy.longest_pause_s) * (1 - policy.jitter * self._random())
        return max(pause_s, at_least_s)
