import pytest

from agent_core.auth.limits import Buckets, RateLimiter
from agent_core.base.errors import RateLimited
from agent_core.testing import SimulatedClock


def test_a_burst_then_the_rate(clock: SimulatedClock) -> None:
    limiter = RateLimiter(10, 3, clock)
    for _ in range(3):
        limiter.charge("u", "a")
    with pytest.raises(RateLimited) as caught:
        limiter.charge("u", "a")
    assert caught.value.retry_after_ms == 100
    limiter.charge("u", "b")
    limiter.charge(None, "a")
    clock.jump(caught.value.retry_after_ms / 1000)
    limiter.charge("u", "a")
    with pytest.raises(RateLimited):
        limiter.charge("u", "a")


def test_it_never_holds_more_than_the_burst(clock: SimulatedClock) -> None:
    limiter = RateLimiter(10, 2, clock)
    limiter.charge("u", "a")
    clock.jump(3600)
    limiter.charge("u", "a")
    limiter.charge("u", "a")
    with pytest.raises(RateLimited):
        limiter.charge("u", "a")


def test_new_limits_hold_at_once(clock: SimulatedClock) -> None:
    limiter = RateLimiter(1, 1, clock)
    limiter.charge("u", "a")
    limiter.configure(1000, 1)
    with pytest.raises(RateLimited) as caught:
        limiter.charge("u", "a")
    assert caught.value.retry_after_ms == 1


def test_many_keys_do_not_grow_without_bound(clock: SimulatedClock) -> None:
    buckets: Buckets[int] = Buckets(1, 1, clock)
    for key in range(20000):
        buckets.take(key)
    assert len(buckets) == 8 * 1024
    clock.jump(10)
    for key in range(10000):
        buckets.take(key)
        clock.jump(10)
    assert len(buckets) <= 8 * 1024


def test_full_buckets_are_swept_out_at_the_mark_and_then_at_twice_what_is_left(clock: SimulatedClock) -> None:
    buckets: Buckets[int] = Buckets(1, 1, clock)
    for key in range(1024):
        buckets.take(key)
    clock.jump(1)
    buckets.take(-1)
    assert len(buckets) == 1
    for key in range(1500):
        buckets.take(key)
    assert len(buckets) == 1501, "none is full, so that none goes"
    clock.jump(1)
    for key in range(2000, 2000 + 2048 - 1501):
        buckets.take(key)
    assert len(buckets) == 2048, "the next sweep is at twice the 1024 that the last one left"
    buckets.take(-2)
    assert len(buckets) == 2048 - 1501 + 1
