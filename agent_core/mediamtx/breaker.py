"""Circuit breaker: while the media server does not answer, its callers fail at once instead of waiting each time.

The breaker guards callers only. Health probes bypass it, and an answered probe lets the next caller try at once.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from agent_core.base.clock import Clock
from agent_core.base.errors import MediaServerError, MediaServerUnavailable
from agent_core.base.metrics import MetricRegistry

__all__ = ("BreakerSettings", "BreakerState", "CircuitBreaker", "CircuitOpen")

_log = logging.getLogger("camera_agent.media_server")


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpen(MediaServerUnavailable):
    """Error of a call that was not sent, because the media server failed too often a moment ago."""

    default_reason = "circuit_open"
    default_suggestion = "Wait; the agent retries the media server by itself and continues when it answers."


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Limits of the circuit breaker.

    `failures` within `window_s` open the circuit. It lets a test call through after `first_open_s`; each failed test
    doubles that time, up to `longest_open_s`.
    """

    failures: int = 5
    window_s: float = 10.0
    first_open_s: float = 2.0
    longest_open_s: float = 30.0


class CircuitBreaker:
    """Decides without I/O which calls may be sent; receives events and their times in monotonic seconds.

    Args:
        changed: called with the new state at each change.
    """

    def __init__(
        self, settings: BreakerSettings, *, changed: Callable[[BreakerState], None] = lambda _state: None
    ) -> None:
        self._settings = settings
        self._changed = changed
        self._state = BreakerState.CLOSED
        self._failures: deque[float] = deque(maxlen=settings.failures)
        self._open_s = settings.first_open_s
        self._test_at_s = 0.0
        self._testing = False
        #: An answered probe allowed the next test; a test that such a probe allowed has failed.
        self._is_vouched = self._is_misled = False
        self.openings = 0

    def watch(self, changed: Callable[[BreakerState], None]) -> None:
        """Call `changed` with the new state at each change; it replaces the earlier callback."""
        self._changed = changed

    @property
    def state(self) -> BreakerState:
        return self._state

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the circuit."""
        registry.gauge(
            "camera_agent_breaker_state",
            "1 for the state of the circuit to the media server, 0 for the others.",
            lambda: {(each.value,): int(each is self._state) for each in BreakerState},
            labels=("state",),
        )
        registry.counter(
            "camera_agent_breaker_openings_total",
            "Times that the circuit to the media server has opened.",
            lambda: self.openings,
        )

    def is_refusing(self, now_s: float) -> bool:
        """Return True if `admit` would refuse a call at `now_s`. Changes nothing."""
        if self._state is BreakerState.OPEN:
            return now_s < self._test_at_s
        return self._state is BreakerState.HALF_OPEN and self._testing

    def admit(self, now_s: float) -> None:
        """Let a caller through, or raise. A caller that is let through must report `succeeded` or `failed`.

        Raises:
            CircuitOpen: the call must not be sent now.
        """
        if self.is_refusing(now_s):
            raise CircuitOpen("The media server does not answer, so the agent pauses its calls to it.")
        if self._state is BreakerState.OPEN:
            self._become(BreakerState.HALF_OPEN)
        self._testing = self._state is BreakerState.HALF_OPEN

    def succeeded(self) -> None:
        """Record that an admitted call was answered."""
        self._testing = self._is_vouched = self._is_misled = False
        self._failures.clear()
        self._open_s = self._settings.first_open_s
        self._become(BreakerState.CLOSED)

    def failed(self, now_s: float) -> None:
        """Record that an admitted call was not answered.

        A cancelled test counts as unanswered; otherwise it would leave the circuit half-open.
        """
        self._failures.append(now_s)
        if self._state is BreakerState.HALF_OPEN:
            self._open_s = self._next_open_s()
            self._is_misled = self._is_misled or self._is_vouched
            self._open(now_s)
        elif self._state is BreakerState.CLOSED and self._is_too_much(now_s):
            self._open(now_s)

    def probed(self, now_s: float) -> None:
        """Record an answered health probe: the next caller may try, unless a test after such a probe has failed."""
        if self._state is BreakerState.OPEN and not self._is_misled:
            self._test_at_s = now_s
            self._is_vouched = True

    def unprobed(self) -> None:
        """Record an unanswered health probe: the next answered one lets a caller try again."""
        self._is_misled = False

    def _next_open_s(self) -> float:
        """Return twice the last open time, or the first one if an answered probe had allowed the failed test."""
        if self._is_vouched:
            return self._settings.first_open_s
        return min(2 * self._open_s, self._settings.longest_open_s)

    def _is_too_much(self, now_s: float) -> bool:
        full = len(self._failures) == self._settings.failures
        return full and now_s - self._failures[0] <= self._settings.window_s

    def _open(self, now_s: float) -> None:
        self._testing = self._is_vouched = False
        self.openings += 1
        self._test_at_s = now_s + self._open_s
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        if state is self._state:
            return
        self._state = state
        _log.warning("the circuit to the media server is %s", state.value.replace("_", "-"))
        self._changed(state)

    @contextmanager
    def guard(self, clock: Clock) -> Iterator[None]:
        """Wrap one call: refuse it while the circuit is open, and record how it ends.

        Only `MediaServerUnavailable` counts as a failure; a refusal is an answer. A cancelled call counts as neither,
        unless it was the test of a half-open circuit.

        Raises:
            CircuitOpen: the call must not be sent.
        """
        self.admit(clock.monotonic_s())
        is_test = self._testing
        try:
            yield
        except MediaServerUnavailable:
            self.failed(clock.monotonic_s())
            raise
        except MediaServerError:
            self.succeeded()
            raise
        except BaseException:
            if is_test:
                self._is_vouched = False
                self.failed(clock.monotonic_s())
            raise
        self.succeeded()
