"""Rate limits: token buckets by key, with an injected clock."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent_core.base.clock import Clock
from agent_core.base.errors import RateLimited

__all__ = ("Buckets", "FailureThrottle", "RateLimiter")

K = TypeVar("K", bound=Hashable)

#: Bytes of a message covered by one call; reading them takes about as long as a small call.
_BYTES_PER_CALL = 8192
#: Buckets kept before full ones, which carry no information, are removed.
_MANY = 1024
#: Most buckets kept; beyond, the least recently used one is removed.
_MOST = 8192


@dataclass(slots=True)
class _Bucket:
    """Tokens in a bucket at one time of the monotonic clock."""

    level: float
    at_s: float


class Buckets(Generic[K]):
    """Token buckets, one per key, that start full with `burst` and refill at `rate_per_s`."""

    def __init__(self, rate_per_s: float, burst: int, clock: Clock) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[K, _Bucket] = {}
        self._sweep_at = _MANY

    def __len__(self) -> int:
        return len(self._buckets)

    def configure(self, rate_per_s: float, burst: int) -> None:
        """Apply new limits at once; the buckets keep their levels."""
        self._rate_per_s, self._burst = rate_per_s, burst

    def wait_s(self, key: K) -> float:
        """Return the seconds until `take` would succeed; 0 if it would now."""
        return max(0.0, (1.0 - self._level(key)) / self._rate_per_s)

    def take(self, key: K, amount: float = 1.0) -> bool:
        """Take `amount` if the level is at least 1; the level may fall below zero, by at most one burst."""
        level = self._level(key)
        if level < 1.0:
            return False
        self._buckets.pop(key, None)
        self._make_room()
        self._buckets[key] = _Bucket(level - min(amount, self._burst), self._clock.monotonic_s())
        return True

    def _level(self, key: K) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return float(self._burst)
        passed_s = self._clock.monotonic_s() - bucket.at_s
        return min(float(self._burst), bucket.level + passed_s * self._rate_per_s)

    def _make_room(self) -> None:
        """Remove full buckets when their number has doubled, so that a sweep costs little per call."""
        if len(self._buckets) >= self._sweep_at:
            self._buckets = {
                key: each for key, each in self._buckets.items() if self._level(key) < self._burst
            }
            self._sweep_at = max(_MANY, 2 * len(self._buckets))
        while len(self._buckets) >= _MOST:
            del self._buckets[next(iter(self._buckets))]


class RateLimiter:
    """Limit on the calls of a user at an address, and on the bytes of their messages.

    User None stands for all anonymous connections of an address. They have their own buckets, so that they cannot use
    up the allowance of a user at the same address.
    """

    def __init__(self, calls_per_s: float, burst: int, clock: Clock) -> None:
        self._calls: Buckets[tuple[str | None, str]] = Buckets(calls_per_s, burst, clock)
        self._parts: Buckets[tuple[str | None, str]] = Buckets(calls_per_s, burst, clock)

    def configure(self, calls_per_s: float, burst: int) -> None:
        self._calls.configure(calls_per_s, burst)
        self._parts.configure(calls_per_s, burst)

    def charge(self, user_id: str | None, address: str) -> None:
        """Count one call.

        Raises:
            RateLimited: the allowance is used up; tells when to retry.
        """
        key = (user_id, address)
        if not self._calls.take(key):
            raise RateLimited("Too many calls.", retry_after_ms=_in_ms(self._calls.wait_s(key)))

    def take_bytes(self, user_id: str | None, address: str, size_bytes: int) -> float:
        """Count the bytes of a message beyond the `_BYTES_PER_CALL` that are covered by its call.

        Returns:
            0.0 if the message was counted; otherwise the seconds to wait before the next attempt.
        """
        key = (user_id, address)
        parts = size_bytes / _BYTES_PER_CALL - 1
        if parts <= 0 or self._parts.take(key, parts):
            return 0.0
        return self._parts.wait_s(key)


class FailureThrottle:
    """Limit on failed attempts to authenticate from one address."""

    def __init__(self, failures_per_minute: int, clock: Clock) -> None:
        self._buckets: Buckets[str] = Buckets(failures_per_minute / 60.0, failures_per_minute, clock)

    def configure(self, failures_per_minute: int) -> None:
        """Apply a new limit at once; failures before it count on."""
        self._buckets.configure(failures_per_minute / 60.0, failures_per_minute)

    def failed(self, address: str) -> None:
        """Count a failure.

        Raises:
            RateLimited: `address` has failed too often to be told the reason.
        """
        if not self._buckets.take(address):
            raise RateLimited(
                "Too many failed attempts to authenticate from this address.",
                retry_after_ms=_in_ms(self._buckets.wait_s(address)),
                reason="too_many_failures",
            )


def _in_ms(duration_s: float) -> int:
    return max(1, math.ceil(duration_s * 1000))
