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


def test_bytes_beyond_those_of_a_call_have_an_allowance_of_their_own(clock: SimulatedClock) -> None:
    limiter = RateLimiter(10, 4, clock)
    for _ in range(20):
        assert limiter.take_bytes("u", "a", 8192) == 0, "the call itself covers so many"
    for _ in range(2):
        assert limiter.take_bytes("u", "a", 3 * 8192) == 0
    assert limiter.take_bytes("u", "a", 2 * 8192) == pytest.approx(0.1)
    assert limiter.take_bytes("u", "a", 8192) == 0
    assert limiter.take_bytes("u", "b", 2 * 8192) == limiter.take_bytes(None, "a", 2 * 8192) == 0
    clock.jump(0.1)
    assert limiter.take_bytes("u", "a", 2 * 8192) == 0
    limiter.configure(1000, 1)
    assert limiter.take_bytes("u", "a", 2 * 8192) == pytest.approx(0.001)
    clock.jump(60)
    assert limiter.take_bytes("u", "a", 8192 * 8192) == 0, (
        "one message of any size goes when the bucket is full"
    )
    assert limiter.take_bytes("u", "a", 2 * 8192) == pytest.approx(0.001), "it costs one burst at most"


def test_the_wait_is_for_what_is_missing_only(clock: SimulatedClock) -> None:
    buckets: Buckets[str] = Buckets(10, 1, clock)
    buckets.take("a")
    clock.jump(0.04)
    assert buckets.wait_s("a") == pytest.approx(0.06)
    assert buckets.wait_s("b") == 0


def test_the_bucket_that_was_used_last_stays_longest(clock: SimulatedClock) -> None:
    buckets: Buckets[int] = Buckets(1, 2, clock)
    for key in range(8 * 1024):
        buckets.take(key)
    buckets.take(5)
    for key in range(6):
        buckets.take(-1 - key)
    assert (buckets.wait_s(5), len(buckets)) == (1, 8 * 1024)
