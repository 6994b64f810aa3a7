"""Health: judged by several answers in a row, told once, asked for nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from agent_core.base.errors import CaptureFailed, MediaServerUnavailable
from agent_core.base.events import Event, EventBus
from agent_core.config import HealthConfig
from agent_core.health import CheckStatus, Health, HealthMonitor, SystemEvent
from agent_core.health.monitor import Steady
from agent_core.mediamtx.breaker import BreakerSettings, BreakerState, CircuitBreaker, CircuitOpen
from agent_core.mediamtx.link import ServerLink
from agent_core.plugin_host.supervisor import ComponentState
from agent_core.testing.clock import SimulatedClock


async def asleep(clock: SimulatedClock, count: int) -> None:
    with anyio.fail_after(20):
        while len(clock.sleeps) < count:
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("answers", "counts"),
    [
        ("y n y n", "y y y y"),
        ("n n y", "y n n"),
        ("n n y y", "y n n y"),
        ("n n y n y y", "y n n n n y"),
    ],
)
def test_it_takes_several_equal_answers_to_change(answers: str, counts: str) -> None:
    steady = Steady(to_fail=2, to_recover=2)
    assert ["y" if steady.take(good=each == "y") else "n" for each in answers.split()] == counts.split()


class Server:
    """A raw HTTP server that answers /v3/info while `answers`, and else lets the caller wait."""

    def __init__(self) -> None:
        self.answers = True
        self.api_url = ""
        self.rtsp_url = "rtsp://127.0.0.1:1"
        self.credentials = None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        self.api_url = f"http://127.0.0.1:{port}"
        async with listener:
            task_status.started()
            await listener.serve(self._serve)

    async def _serve(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                while True:
                    await stream.receive()
                    if not self.answers:
                        await anyio.sleep_forever()
                    body = b'{"version":"v1.20.1","started":"2026-01-01T00:00:00Z"}'
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    await stream.send(head % len(body) + body)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


@asynccontextmanager
async def monitored(
    tmp_path: Path, server: Server, states: Callable[[], list[tuple[str, str]]] = list
) -> AsyncIterator[tuple[HealthMonitor, ServerLink, SimulatedClock, list[Event]]]:
    clock, bus, seen = SimulatedClock(), EventBus(), list[Event]()

    async def endpoints() -> Server:
        return server

    link = ServerLink(endpoints, breaker=CircuitBreaker(BreakerSettings(failures=1)), clock=clock)
    settings = HealthConfig(low_space_bytes=0)
    monitor = HealthMonitor(
        link,
        components=states,
        is_live=lambda: False,
        settings=settings,
        events=bus,
        clock=clock,
    )

    def keep(event: Event) -> bool:
        seen.append(event)
        return False

    with bus.subscribe(keep):
        async with anyio.create_task_group() as tg:
            await tg.start(server.run)
            await tg.start(link.run)
            with anyio.fail_after(10):
                while not link.is_configured or not _connected(link):
                    await anyio.sleep(0.01)
            await tg.start(monitor.run)
            yield monitor, link, clock, seen
            tg.cancel_scope.cancel()


def _connected(link: ServerLink) -> bool:
    try:
        link.require()
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


async def until(clock: SimulatedClock, monitor: HealthMonitor, status: Health, pause_s: float) -> int:
    """Let probes go on until the status is reached; returns how many it took."""
    with anyio.fail_after(20):
        for count in range(100):
            if monitor.report.status is status:
                return count
            asleep = len(clock.sleeps)
            await clock.advance(pause_s)
            while len(clock.sleeps) == asleep:
                await anyio.sleep(0.01)
    raise AssertionError


async def test_a_server_that_hangs_is_noticed_and_its_recovery_is_confirmed(tmp_path: Path) -> None:
    server = Server()
    async with monitored(tmp_path, server) as (monitor, _link, clock, seen):
        assert await until(clock, monitor, Health.HEALTHY, 10.0) <= 1
        server.answers = False
        await until(clock, monitor, Health.UNHEALTHY, 10.0)
        failed = next(check for check in monitor.report.checks if check.name == "media_server")
        assert failed.status is CheckStatus.FAILED
        assert failed.since == clock.now() or failed.since < clock.now()
        server.answers = True
        assert await until(clock, monitor, Health.HEALTHY, 1.0) >= 2
        statuses = [event.payload.status for event in seen if isinstance(event.payload, SystemEvent)]
        assert statuses[-1] == "HEALTHY"
        assert "UNHEALTHY" in statuses


async def test_a_good_probe_lets_callers_try_again(tmp_path: Path) -> None:
    async with monitored(tmp_path, Server()) as (monitor, link, clock, _seen):
        await until(clock, monitor, Health.HEALTHY, 10.0)
        link.breaker.admit(clock.monotonic_s())
        link.breaker.failed(clock.monotonic_s())
        assert link.breaker.state is BreakerState.OPEN
        asleep = len(clock.sleeps)
        await clock.advance(10.0)
        with anyio.fail_after(10):
            while len(clock.sleeps) == asleep:
                await anyio.sleep(0.01)
        assert (await link.require().client.info()).version == "v1.20.1"
        assert link.breaker.state.value == "closed"


async def test_a_component_in_error_degrades(tmp_path: Path) -> None:
    async with monitored(tmp_path, Server(), lambda: [("some_plugin", "ERROR")]) as (
        monitor,
        _,
        clock,
        _seen,
    ):
        await until(clock, monitor, Health.DEGRADED, 10.0)
        assert ("some_plugin", "ERROR") in monitor.report.components


async def test_without_a_media_server_there_is_no_check_of_it(tmp_path: Path) -> None:
    clock = SimulatedClock()
    link = ServerLink(None, breaker=CircuitBreaker(BreakerSettings()), clock=clock)
    monitor = HealthMonitor(
        link,
        components=list,
        is_live=lambda: False,
        settings=HealthConfig(low_space_bytes=0),
        events=EventBus(),
        clock=clock,
    )
    async with anyio.create_task_group() as tg:
        await tg.start(monitor.run)
        await until(clock, monitor, Health.HEALTHY, 10.0)
        assert [check.name for check in monitor.report.checks] == []
        assert monitor.report.components == (("mediamtx", "STOPPED"),)
        tg.cancel_scope.cancel()


async def test_a_server_that_is_doubted_is_probed_now_and_then_often_until_it_answers(tmp_path: Path) -> None:
    server = Server()
    async with monitored(tmp_path, server) as (_monitor, link, clock, _seen):
        await asleep(clock, 1)
        server.answers = False
        woken = 0

        async def wait() -> None:
            nonlocal woken
            while True:
                await link.recovery.wait()
                woken += 1

        async with anyio.create_task_group() as tg:
            tg.start_soon(wait)
            link.recovery.doubt()
            await asleep(clock, 2)
            assert link.recovery.is_silent
            server.answers = True
            await clock.advance(1.0)
            await asleep(clock, 3)
            assert clock.sleeps == [10.0, 1.0, 10.0]
            link.recovery.doubt()
            await asleep(clock, 4)
            assert woken == 1  # a server that answered all the time is not one that is back
            tg.cancel_scope.cancel()


async def test_a_circuit_that_opens_is_a_reason_to_probe_and_one_that_stays_open_is_none(
    tmp_path: Path,
) -> None:
    async with monitored(tmp_path, Server()) as (_monitor, link, clock, _seen):
        await asleep(clock, 1)
        link.breaker.failed(clock.monotonic_s())
        await asleep(clock, 2)
        link.breaker.admit(clock.monotonic_s())
        link.breaker.failed(clock.monotonic_s())
        assert link.breaker.state is BreakerState.OPEN
        assert not link.recovery.doubted.is_set()


def test_only_errors_that_may_mean_a_server_that_is_gone_are_doubts() -> None:
    link = ServerLink(None, breaker=CircuitBreaker(BreakerSettings()), clock=SimulatedClock())
    for harmless in (CaptureFailed("No."), CircuitOpen("No.")):
        link.doubt_after(harmless)
    assert not link.recovery.doubted.is_set()
    link.doubt_after(MediaServerUnavailable("No."))
    assert link.recovery.doubted.is_set()


async def test_the_event_names_the_fault_and_a_recovery_is_logged_more_quietly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    with caplog.at_level("INFO"):
        async with monitored(tmp_path, server) as (monitor, _link, clock, seen):
            await until(clock, monitor, Health.HEALTHY, 10.0)
            server.answers = False
            await until(clock, monitor, Health.UNHEALTHY, 10.0)
            server.answers = True
            await until(clock, monitor, Health.HEALTHY, 1.0)
    told = [each.payload for each in seen if isinstance(each.payload, SystemEvent)]
    reasons = {(each.status, each.reason) for each in told}
    assert ("UNHEALTHY", "The media server accepts connections, but does not answer.") in reasons
    assert ("HEALTHY", "") in reasons
    levels = {each.getMessage(): each.levelname for each in caplog.records}
    assert (
        levels["media_server: failed. The media server accepts connections, but does not answer."]
        == "WARNING"
    )
    assert levels["media_server: ok. It answers."] == "INFO"


@pytest.mark.parametrize(("is_live", "pause_s"), [(True, 2.0), (False, 7.0)])
async def test_checks_are_more_frequent_while_anything_is_live(is_live: bool, pause_s: float) -> None:
    clock = SimulatedClock()
    monitor = HealthMonitor(
        ServerLink(None, breaker=CircuitBreaker(BreakerSettings()), clock=clock),
        components=list,
        is_live=lambda: is_live,
        settings=HealthConfig(probe_live_s=2.0, probe_idle_s=7.0),
        events=EventBus(),
        clock=clock,
    )
    async with anyio.create_task_group() as tg:
        await tg.start(monitor.run)
        await asleep(clock, 1)
        tg.cancel_scope.cancel()
    assert clock.sleeps == [pause_s]


async def test_a_change_of_the_circuit_is_told_in_words(tmp_path: Path) -> None:
    async with monitored(tmp_path, Server()) as (_monitor, link, clock, seen):
        link.breaker.failed(clock.monotonic_s())
        told = [each.payload for each in seen if isinstance(each.payload, SystemEvent)]
        assert [each.reason for each in told] == ["The circuit to the media server is open."]
        link.breaker.probed(clock.monotonic_s())
        link.breaker.admit(clock.monotonic_s())
        told = [each.payload for each in seen if isinstance(each.payload, SystemEvent)]
        assert told[-1].reason == "The circuit to the media server is half-open."


def test_failing_and_recovering_have_limits_of_their_own() -> None:
    steady = Steady(to_fail=3, to_recover=1)
    assert [steady.take(good=good) for good in (False, False, False, True)] == [True, True, False, True]


async def test_the_report_has_the_duration_of_the_last_answered_probe(tmp_path: Path) -> None:
    async with monitored(tmp_path, Server()) as (monitor, _link, clock, _seen):
        await asleep(clock, 1)
        assert monitor.report.probe_s == 0, "this clock stands still during a probe"


@asynccontextmanager
async def watching(endpoints: Callable[[], Awaitable[Server]]) -> AsyncIterator[HealthMonitor]:
    """A monitor that has looked once at the server of these endpoints."""
    clock = SimulatedClock()
    link = ServerLink(endpoints, breaker=CircuitBreaker(BreakerSettings()), clock=clock)
    monitor = HealthMonitor(
        link,
        components=list,
        is_live=lambda: False,
        settings=HealthConfig(probe_timeout_s=0.3),
        events=EventBus(),
        clock=clock,
    )
    async with anyio.create_task_group() as tg:
        await tg.start(link.run)
        await anyio.wait_all_tasks_blocked()
        await tg.start(monitor.run)
        with anyio.fail_after(20):
            while not clock.sleeps:
                await anyio.sleep(0.01)
        yield monitor
        tg.cancel_scope.cancel()


async def test_a_server_that_is_not_there_yet_is_no_problem() -> None:
    async def never() -> Server:
        await anyio.sleep_forever()
        raise AssertionError

    async with watching(never) as monitor:
        assert monitor.media_server is ComponentState.STARTING
        assert monitor.media_server_problem is None
        assert monitor.report.checks == ()


async def test_a_server_that_refuses_connections_is_told_from_one_that_is_silent() -> None:
    server = Server()
    async with anyio.create_task_group() as tg:
        await tg.start(server.run)
        server.answers = False

        async def endpoints() -> Server:
            return server

        async with watching(endpoints) as monitor:
            assert monitor.media_server_problem is not None
            assert monitor.media_server_problem.reason == "timed_out"
        tg.cancel_scope.cancel()
    async with watching(endpoints) as monitor:
        assert monitor.media_server_problem is not None
        assert monitor.media_server_problem.reason == "connection_refused"


async def test_a_check_with_the_same_status_has_its_new_detail_and_the_old_time() -> None:
    async def never() -> Server:
        await anyio.sleep_forever()
        raise AssertionError

    async with watching(never) as monitor:
        monitor.note("disk", CheckStatus.OK, "90 % are free.")
        monitor.note("disk", CheckStatus.OK, "80 % are free.")
        assert [(each.name, each.detail) for each in monitor.report.checks] == [("disk", "80 % are free.")]
