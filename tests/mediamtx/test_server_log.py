"""The managed server's output in the agent's log: levels, and a program that prints without end."""

import logging
import sys
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import StartFailed
from agent_core.base.line_limit import WINDOW_S, LineLimit
from agent_core.config.sections import MediaServerConfig
from agent_core.mediamtx.managed import ManagedServer
from agent_core.mediamtx.managed.log import ServerLog
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.mediamtx import find_mediamtx

LOGGER = "camera_agent.mediamtx"
FREE = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)


async def logged(log: ServerLog, clock: SimulatedClock, *pieces: bytes, pause_s: float = 0.0) -> None:
    """Let `log` follow `pieces`, with `pause_s` between them."""
    send, receive = anyio.create_memory_object_stream[bytes](0)
    async with anyio.create_task_group() as tg, receive:
        tg.start_soon(log.follow, receive)  # type: ignore[arg-type]
        async with send:
            for piece in pieces:
                await send.send(piece)
                await anyio.wait_all_tasks_blocked()
                await clock.advance(pause_s)
    assert log.complete.is_set()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)


@pytest.mark.parametrize(
    ("said", "level", "text"),
    [
        (
            b"2026/11/29 21:24:22 INF MediaMTX v1.20.1, linux, amd64",
            "INFO",
            "MediaMTX v1.20.1, linux, amd64",
        ),
        (b"INF MediaMTX v1.20.1, linux, amd64", "INFO", "MediaMTX v1.20.1, linux, amd64"),
        (b"2026-11-29T21:24:22.123+01:00 INF [API] ready", "INFO", "[API] ready"),
        (b"2026/11/29 21:24:22 WAR [path x] late", "WARNING", "[path x] late"),
        (b"ERR: json: unknown field", "ERROR", "json: unknown field"),
        (b"INFORMATION of a command", "WARNING", "INFORMATION of a command"),
    ],
)
async def test_each_line_has_the_level_that_it_names(
    caplog: pytest.LogCaptureFixture, said: bytes, level: str, text: str
) -> None:
    clock = SimulatedClock()
    await logged(ServerLog(LineLimit(), clock=clock), clock, said + b"\n")
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [(level, text)]


async def test_a_flood_is_cut_and_its_size_is_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = SimulatedClock()
    log = ServerLog(LineLimit(), clock=clock)
    flood = b"2026/11/29 21:24:22 INF again\n" * 2000
    await logged(
        log, clock, flood, flood, b"2026/11/29 21:24:22 ERR worse\n", b"INF better\n", pause_s=WINDOW_S / 3
    )
    said = messages(caplog)
    passed = said.count("again")
    assert 0 < passed <= 500
    assert said.count("the media server prints too much; some lines of the next 60 s are left out") == 1
    assert said[-3:] == ["worse", f"{4000 - passed} lines of the media server were left out", "better"]


async def test_the_size_of_a_flood_is_told_at_the_end_too(caplog: pytest.LogCaptureFixture) -> None:
    clock = SimulatedClock()
    limit = LineLimit()
    for count in (4000, 10):  # the second run is within the same minute
        await logged(ServerLog(limit, clock=clock), clock, b"y\n" * count, pause_s=1)
    said = messages(caplog)
    passed = said.count("y")
    assert 0 < passed <= 500
    assert said[-1] == "10 lines of the media server were left out"
    assert f"{4000 - passed} lines of the media server were left out" in said


async def test_the_last_error_is_known_though_it_was_left_out() -> None:
    clock = SimulatedClock()
    log = ServerLog(LineLimit(), clock=clock)
    await logged(log, clock, b"ERR again\n" * 5000 + b"ERR rtsp://u:p@host is the cause\n", pause_s=1)
    assert log.last_error == "rtsp://***@host is the cause"


async def test_a_program_that_prints_without_end_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Nor does it keep the agent from anything else: other tasks have their turns meanwhile."""
    program = tmp_path / "mediamtx"
    program.write_text(
        f"#!{sys.executable} -IS\nimport sys\n"
        "if sys.argv[1:] == ['--version']:\n    print('v1.20.1')\n    sys.exit()\n"
        "while True:\n    print('y\\n' * 10000)\n"
    )
    program.chmod(0o755)
    config = MediaServerConfig.model_validate({"mode": "managed", "program": str(program), **FREE})
    server = ManagedServer(config, state_dir=tmp_path, clock=SystemClock(), start_limit_s=3)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0.01)
            turns += 1

    async with anyio.create_task_group() as tg:
        tg.start_soon(other)
        with pytest.raises(StartFailed) as raised:
            await server.run()
        tg.cancel_scope.cancel()
    assert raised.value.reason == "start_timed_out"
    assert 0 < messages(caplog).count("y") <= 500
    assert len(caplog.records) <= 510
    assert turns > 10


@pytest.mark.real_mediamtx
async def test_a_start_of_the_real_one_is_no_warning(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    config = MediaServerConfig.model_validate({"mode": "managed", "program": str(program), **FREE})
    server = ManagedServer(config, state_dir=tmp_path, clock=SystemClock())
    async with anyio.create_task_group() as tg:
        with anyio.fail_after(20):
            await tg.start(server.run)
        tg.cancel_scope.cancel()
    assert any(each.startswith("MediaMTX v") for each in messages(caplog))
    loud = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert loud == []
