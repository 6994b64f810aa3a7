"""Circuit breaker: its decisions, and the requests that reach a server while it is open."""

from itertools import pairwise

import anyio
import anyio.lowlevel
import httpx
import pytest

from agent_core.base.errors import MediaServerRefused, MediaServerUnavailable
from agent_core.mediamtx.breaker import BreakerSettings, BreakerState, CircuitBreaker, CircuitOpen
from agent_core.mediamtx.client import MediaServerClient
from agent_core.testing.clock import SimulatedClock

SETTINGS = BreakerSettings(failures=3, window_s=10.0, first_open_s=2.0, longest_open_s=5.0)


class Watched:
    """A breaker with the states it went through."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.breaker = CircuitBreaker(SETTINGS, changed=lambda state: self.states.append(state.value))

    def fail(self, *at_s: float) -> None:
        for now_s in at_s:
            self.breaker.admit(now_s)
            self.breaker.failed(now_s)


def refused(breaker: CircuitBreaker, now_s: float) -> bool:
    announced, state = breaker.is_refusing(now_s), breaker.state
    assert breaker.state is state, "to ask changes nothing"
    try:
        breaker.admit(now_s)
    except CircuitOpen as error:
        assert error.suggestion
        assert announced
        return True
    assert not announced
    return False


def test_failures_within_the_window_open_it() -> None:
    watched = Watched()
    watched.fail(0, 5, 9)
    assert watched.breaker.state is BreakerState.OPEN
    assert refused(watched.breaker, 10)


def test_failures_spread_wider_do_not() -> None:
    watched = Watched()
    watched.fail(0, 6, 12, 18, 24)
    assert watched.breaker.state is BreakerState.CLOSED


def test_a_success_in_between_starts_the_count_anew() -> None:
    watched = Watched()
    watched.fail(0, 1)
    watched.breaker.succeeded()
    watched.fail(2, 3)
    assert watched.breaker.state is BreakerState.CLOSED


def test_one_test_at_a_time_is_let_through_after_the_pause() -> None:
    watched = Watched()
    watched.fail(0, 0, 0)
    assert refused(watched.breaker, 1.9)
    assert not refused(watched.breaker, 2.0)
    assert refused(watched.breaker, 2.1)
    watched.breaker.succeeded()
    assert not refused(watched.breaker, 2.2)
    assert watched.states == ["open", "half_open", "closed"]


def test_a_server_that_stays_bad_is_tested_ever_more_rarely_up_to_the_limit() -> None:
    watched = Watched()
    watched.fail(0, 0, 0)
    now_s, pauses = 0.0, []
    for _ in range(4):
        began_s = now_s
        while refused(watched.breaker, now_s):
            now_s += 0.5
        pauses.append(now_s - began_s)
        watched.breaker.failed(now_s)
    assert pauses == [2.0, 4.0, 5.0, 5.0]
    assert watched.breaker.openings == 5


def test_a_good_probe_lets_the_next_caller_try_at_once() -> None:
    watched = Watched()
    watched.fail(0, 0, 0)
    watched.breaker.probed(0.5)
    assert not refused(watched.breaker, 0.5)
    assert watched.breaker.state is BreakerState.HALF_OPEN


def test_good_probes_of_a_server_that_fails_every_caller_do_not_end_the_pauses() -> None:
    """As when it answers for its version while its paths hang."""
    watched = Watched()
    watched.fail(0, 0, 0)
    tested_s = []
    for now_s in range(1, 61):
        watched.breaker.probed(now_s)
        if not refused(watched.breaker, now_s):
            tested_s.append(now_s)
            watched.breaker.failed(now_s)
    pauses = [after - before for before, after in pairwise(tested_s)]
    assert (tested_s[0], pauses[:3]) == (1, [2, 4, 5]), "the first by the probe, then ever fewer"
    assert set(pauses[3:]) == {SETTINGS.longest_open_s}
    watched.breaker.unprobed()  # it was away altogether, and is back
    watched.breaker.probed(61)
    assert not refused(watched.breaker, 61)


def test_a_test_that_was_under_way_says_nothing_about_a_probe() -> None:
    watched = Watched()
    watched.fail(0, 0, 0)
    assert not refused(watched.breaker, 2.0)
    watched.breaker.probed(3.0)
    watched.breaker.failed(3.4)
    watched.breaker.probed(4.0)
    assert not refused(watched.breaker, 4.0)


def test_a_probe_of_a_closed_circuit_changes_nothing() -> None:
    watched = Watched()
    watched.breaker.probed(0)
    assert watched.states == []


class Scripted(httpx.AsyncBaseTransport):
    """Answers by the script; None hangs."""

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses)
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if status is None:
            await anyio.sleep_forever()
        assert status is not None
        return httpx.Response(status, json={"status": "error", "error": "no"})


def client(transport: Scripted, breaker: CircuitBreaker, clock: SimulatedClock) -> MediaServerClient:
    url = "http://media.invalid"
    return MediaServerClient(url, transport=transport, breaker=breaker, clock=clock, timeout_s=0.05)


@pytest.mark.parametrize("status", [500, 503, None])
async def test_no_request_is_sent_while_it_is_open(status: int | None) -> None:
    watched, transport = Watched(), Scripted(status)
    async with client(transport, watched.breaker, SimulatedClock()) as server:
        for _ in range(10):
            with pytest.raises(MediaServerUnavailable):
                await server.delete_path("camera0")
    assert transport.requests == SETTINGS.failures
    assert watched.states == ["open"]


async def test_refusals_are_answers() -> None:
    watched, transport = Watched(), Scripted(400)
    async with client(transport, watched.breaker, SimulatedClock()) as server:
        for _ in range(10):
            with pytest.raises(MediaServerRefused):
                await server.delete_path("camera0")
    assert watched.states == []


async def test_a_cancelled_caller_says_nothing_but_a_cancelled_test_is_a_failure() -> None:
    watched, clock = Watched(), SimulatedClock()
    transport = Scripted(500, 500, 500, None)
    async with client(transport, watched.breaker, clock) as server:
        for _ in range(3):
            with pytest.raises(MediaServerUnavailable):
                await server.delete_path("camera0")
        await clock.advance(2.0)
        async with anyio.create_task_group() as tg:
            tg.start_soon(server.delete_path, "camera0")
            with anyio.fail_after(20):
                while transport.requests < 4:
                    await anyio.lowlevel.checkpoint()
            tg.cancel_scope.cancel()
    assert watched.states == ["open", "half_open", "open"]


async def test_a_cancelled_test_says_nothing_about_a_probe() -> None:
    watched, clock = Watched(), SimulatedClock()
    watched.fail(*[clock.monotonic_s()] * 3)
    transport = Scripted(None)
    async with client(transport, watched.breaker, clock) as server:
        for count in (1, 2, 3):
            watched.breaker.probed(clock.monotonic_s())
            async with anyio.create_task_group() as tg:
                tg.start_soon(server.delete_path, "camera0")
                with anyio.fail_after(20):
                    while transport.requests < count:
                        await anyio.lowlevel.checkpoint()
                tg.cancel_scope.cancel()
    assert transport.requests == 3


def test_failures_that_just_fill_the_window_open_it() -> None:
    watched = Watched()
    watched.fail(0, 5, 10)
    assert watched.breaker.state is BreakerState.OPEN


def test_a_success_makes_the_pause_short_again_and_probes_count_again() -> None:
    watched = Watched()
    watched.fail(0, 0, 0)
    watched.breaker.probed(1)
    assert not refused(watched.breaker, 1)
    watched.breaker.failed(1)  # a probe misled the caller
    assert not refused(watched.breaker, 3)
    watched.breaker.failed(3)  # and the next pause is longer
    assert refused(watched.breaker, 6)
    assert not refused(watched.breaker, 7)
    watched.breaker.succeeded()
    watched.fail(8, 8, 8)
    watched.breaker.probed(9)
    assert not refused(watched.breaker, 9)
    watched.breaker.succeeded()
    watched.fail(10, 10, 10)
    assert refused(watched.breaker, 11.9)
    assert not refused(watched.breaker, 12)


def test_failures_of_long_ago_do_not_hide_those_of_now() -> None:
    watched = Watched()
    watched.fail(0, 20, 40, 41, 42)
    assert watched.breaker.state is BreakerState.OPEN
