"""State of the media server as the link has seen it, without I/O."""

import logging
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.link import ServerLink, ServerState
from agent_core.testing import SimulatedClock


@dataclass(frozen=True)
class Nowhere:
    """Endpoints at which nothing listens; nothing is asked there."""

    api_url: str = "http://127.0.0.1:1"
    rtsp_url: str = "rtsp://127.0.0.1:1"
    credentials: None = None


async def test_the_state_is_absent_up_or_down() -> None:
    clock, listens = SimulatedClock(), anyio.Event()

    async def endpoints() -> Nowhere:
        await listens.wait()
        return Nowhere()

    breaker = CircuitBreaker(BreakerSettings(failures=1, first_open_s=2.0))
    assert ServerLink(None, breaker=breaker, clock=clock).state is ServerState.ABSENT
    link = ServerLink(endpoints, breaker=breaker, clock=clock)

    def state() -> ServerState:
        return link.state

    async with anyio.create_task_group() as tg:
        await tg.start(link.run)
        assert state() is ServerState.DOWN, "it is starting"
        listens.set()
        with anyio.fail_after(20):
            while link.current is None:
                await anyio.lowlevel.checkpoint()
        assert state() is ServerState.UP
        link.recovery.unanswered()
        assert state() is ServerState.UP, "it may be busy"
        breaker.failed(clock.monotonic_s())
        assert state() is ServerState.DOWN
        clock.jump(2.0)
        assert state() is ServerState.UP, "the next caller may try"
        tg.cancel_scope.cancel()


async def test_the_log_names_the_server_without_the_password_in_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def endpoints() -> Nowhere:
        return Nowhere(rtsp_url="rtsp://me:s3cret@127.0.0.1:1")

    link = ServerLink(endpoints, breaker=CircuitBreaker(BreakerSettings()), clock=SimulatedClock())
    async with anyio.create_task_group() as tg:
        await tg.start(link.run)
        with anyio.fail_after(20):
            while link.current is None:
                await anyio.lowlevel.checkpoint()
        tg.cancel_scope.cancel()
    assert "RTSP is at rtsp://***@127.0.0.1:1" in caplog.text
    assert "s3cret" not in caplog.text
