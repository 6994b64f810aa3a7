"""A managed media server: a real MediaMTX, and programs that are none or do not work."""

import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, MediaServerRefused, MediaServerUnavailable, StartFailed
from agent_core.base.line_limit import LineLimit
from agent_core.config.sections import MediaServerConfig
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.managed import CONFIG_FILE, FOLDER, ManagedServer
from agent_core.mediamtx.managed.log import ServerLog
from agent_core.mediamtx.managed.watchdog import HangWatch
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin_host.supervisor import ComponentState, Supervisor
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.contracts import children
from agent_core.testing.mediamtx import find_mediamtx, publisher_command
from agent_core.testing.waiting import eventually

FREE = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)
Program = Callable[[str], Path]


def server(
    folder: Path, program: str | Path, *, start_limit_s: float = 15.0, **settings: Any
) -> ManagedServer:
    config = MediaServerConfig.model_validate(
        {"mode": "managed", "program": str(program), **FREE, **settings}
    )
    return ManagedServer(config, state_dir=folder, clock=SystemClock(), start_limit_s=start_limit_s)


@pytest.fixture
def real() -> str:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    return program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Make an executable of some lines of Python; it says a version, as MediaMTX does."""

    def make(body: str) -> Path:
        path = tmp_path / "mediamtx"
        head = f"#!{sys.executable} -IS\nimport os, sys, time\n"
        asked = "if sys.argv[1:] == ['--version']:\n    print('v1.20.1')\n    sys.exit()\n"
        path.write_text(head + asked + body)
        path.chmod(0o755)
        return path

    return make


@asynccontextmanager
async def running(managed: ManagedServer) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tg:
        with anyio.fail_after(20):
            await tg.start(managed.run)
        yield
        tg.cancel_scope.cancel()


async def failure(managed: ManagedServer) -> AgentError:
    with anyio.fail_after(20), pytest.raises(AgentError) as caught:
        await managed.run()
    assert caught.value.suggestion
    return caught.value


def one_child() -> int:
    (pid,) = (pid for pid in children() if b"mediamtx" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return pid


# With a real one


@pytest.mark.real_mediamtx
async def test_it_serves_and_guards_its_api(real: str, tmp_path: Path) -> None:
    managed = server(tmp_path, real)
    async with running(managed):
        at = await managed.wait_endpoints()
        async with MediaServerClient(at.api_url, credentials=at.credentials) as client:
            assert (await client.info()).version
            assert await client.list_path_configs() == ()
        async with MediaServerClient(at.api_url) as stranger:
            with pytest.raises(MediaServerRefused) as caught:
                await stranger.list_path_configs()
        assert caught.value.reason == "not_authorized"
        folder = tmp_path / FOLDER
        assert (folder / CONFIG_FILE).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        pid = one_child()
        assert Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
        assert at.credentials is not None
        seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert at.credentials.password.encode() not in seen + (folder / CONFIG_FILE).read_bytes()
    assert not children()


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("protected", [False, True])
async def test_who_may_read(real: str, tmp_path: Path, protected: bool) -> None:
    user: dict[str, Any] = {"read_user": "viewer", "read_password": "pass word", "listen": "all"}
    managed = server(tmp_path, real, **(user if protected else {}))
    async with running(managed):
        at = await managed.wait_endpoints()
        async with MediaServerClient(at.api_url, credentials=at.credentials) as client:
            await client.add_path("camera0", PathConf(run_on_demand=publisher_command(15)))
            await eventually(lambda: client.path("camera0"))
        allowed = [at.rtsp_url.replace("://", "://viewer:pass%20word@")] if protected else [at.rtsp_url]
        for url in allowed:
            await held(Hold(f"{url}/camera0"))
        await held(Hold(f"{at.rtsp_url}/camera0", credentials=at.credentials))
        if protected:
            with pytest.raises(MediaServerRefused) as caught:
                await Hold(f"{at.rtsp_url}/camera0").run()
            assert caught.value.reason == "not_authorized"


async def held(hold: Hold) -> None:
    async with anyio.create_task_group() as tg:
        with anyio.fail_after(20):
            await tg.start(hold.run)
        tg.cancel_scope.cancel()


@pytest.mark.real_mediamtx
async def test_a_killed_server_is_started_again_where_it_was(real: str, tmp_path: Path) -> None:
    managed = server(tmp_path, real)
    supervisor = Supervisor([managed], clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        with anyio.fail_after(30):
            first = await managed.wait_endpoints()
            os.kill(one_child(), signal.SIGKILL)
            while supervisor.states["mediamtx"] is not ComponentState.ERROR:
                await anyio.sleep(0.01)
            problem = supervisor.problem("mediamtx")
            assert isinstance(problem, MediaServerUnavailable)
            assert "by signal 9" in problem.details
            assert await managed.wait_endpoints() == first
        assert supervisor.problem("mediamtx") is None
        async with MediaServerClient(first.api_url, credentials=first.credentials) as client:
            assert (await client.info()).version
        tg.cancel_scope.cancel()


async def hung_and_back(managed: ManagedServer) -> None:
    """Stop the program for good: it is said, and another one serves at the same addresses."""
    supervisor = Supervisor([managed], clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        with anyio.fail_after(40):
            first = await managed.wait_endpoints()
            stopped = one_child()
            os.kill(stopped, signal.SIGSTOP)
            while supervisor.states["mediamtx"] is not ComponentState.ERROR:
                await anyio.sleep(0.01)
            problem = supervisor.problem("mediamtx")
            assert isinstance(problem, MediaServerUnavailable)
            assert problem.reason == "media_server_hung"
            assert problem.suggestion
            assert stopped not in children()
            assert await managed.wait_endpoints() == first
            assert one_child() != stopped
        async with MediaServerClient(first.api_url, credentials=first.credentials) as client:
            assert (await client.info()).version
        tg.cancel_scope.cancel()


@pytest.mark.real_mediamtx
async def test_a_server_that_hangs_is_started_again(real: str, tmp_path: Path) -> None:
    await hung_and_back(server(tmp_path, real, hang_timeout_s=2))


#: Answers whoever has any password, and nobody else.
STAND_IN = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        known = 'Authorization' in self.headers
        body = b'{"version":"v1.20.1"}' if known else b'{"error":"authentication error"}'
        self.send_response(200 if known else 401)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
host, _, port = json.load(open(sys.argv[1]))['apiAddress'].rpartition(':')
http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
"""


async def test_a_program_that_hangs_is_started_again(tmp_path: Path, program: Program) -> None:
    await hung_and_back(server(tmp_path, program(STAND_IN), hang_timeout_s=2))


def test_a_server_hangs_when_it_is_silent_for_the_whole_time() -> None:
    watch = HangWatch(10)
    assert not watch.unanswered(0, 1.5)
    assert not watch.unanswered(2.5, 4)
    watch.answered()
    assert watch.pause_s == 10
    assert not watch.unanswered(14, 30)  # whoever asked slept as well
    assert watch.pause_s == 1
    assert not watch.unanswered(20, 23.9)
    assert watch.unanswered(23.5, 24)


@pytest.mark.real_mediamtx
async def test_a_configuration_that_ends_it_while_it_runs_is_not_the_end(real: str, tmp_path: Path) -> None:
    """It ends with status 0 then."""
    managed = server(tmp_path, real)
    async with anyio.create_task_group() as tg:
        tg.start_soon(_spoil, managed, tmp_path / FOLDER / CONFIG_FILE)
        error = await failure(managed)
    assert isinstance(error, MediaServerUnavailable)
    assert "with status 0" in error.details


async def _spoil(managed: ManagedServer, file: Path) -> None:
    await managed.wait_endpoints()
    file.write_text("nonsense: true\n")


@pytest.mark.real_mediamtx
@pytest.mark.parametrize(
    ("key", "kind"), [("api", "tcp"), ("rtsp", "tcp"), ("hls", "tcp"), ("webrtc_udp", "udp")]
)
async def test_a_busy_port_is_named_with_its_key(real: str, tmp_path: Path, key: str, kind: str) -> None:
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        error = await failure(server(tmp_path, real, **{f"{key}_port": port}))
    assert error.reason == "port_in_use"
    assert str(port) in error.details
    assert f"media_server.{key}_port" in error.suggestion


@pytest.mark.real_mediamtx
async def test_who_waits_for_a_server_that_fails_at_first_gets_it_later(real: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        managed = server(tmp_path, real, rtsp_port=taken.getsockname()[1])
        supervisor = Supervisor([managed], clock=SystemClock())
        async with anyio.create_task_group() as tg:
            tg.start_soon(_use, managed, tg.cancel_scope)
            await tg.start(supervisor.run)
            with anyio.fail_after(20):
                while supervisor.problem("mediamtx") is None:
                    await anyio.sleep(0.01)
                taken.close()
                await anyio.sleep_forever()
    assert managed.ports is not None


async def _use(managed: ManagedServer, scope: anyio.CancelScope) -> None:
    await managed.wait_endpoints()
    scope.cancel()


@pytest.mark.real_mediamtx
async def test_two_do_not_share_a_folder(real: str, tmp_path: Path) -> None:
    async with running(server(tmp_path, real)):
        error = await failure(server(tmp_path, real))
    assert error.reason == "already_running"


# With programs that are none


@pytest.mark.parametrize("name", ["mediamtx-that-is-not-there", "/nowhere/mediamtx", "{folder}"])
async def test_a_missing_program(tmp_path: Path, name: str) -> None:
    error = await failure(server(tmp_path, name.format(folder=tmp_path)))
    assert isinstance(error, StartFailed)
    assert error.reason == "program_missing"
    assert "media_server.program" in error.suggestion
    assert "/" not in error.details


async def test_a_program_that_may_not_be_executed(tmp_path: Path, program: Program) -> None:
    path = program("")
    path.chmod(0o644)
    error = await failure(server(tmp_path, path))
    assert error.reason == "program_not_executable"
    assert "/" not in error.details


@pytest.mark.parametrize("content", ["#!/bin/true\n", "#!/bin/false\n", "\x7fELF nonsense", "#!/bin/cat\n"])
async def test_a_program_that_is_not_mediamtx(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other"
    path.write_text(content)
    path.chmod(0o755)
    assert (await failure(server(tmp_path, path))).reason == "not_mediamtx"


async def test_a_version_that_is_too_old(tmp_path: Path, program: Program) -> None:
    path = program("")
    path.write_text(path.read_text().replace("v1.20.1", "v1.8.5"))
    error = await failure(server(tmp_path, path))
    assert (error.reason, "v1.8.5" in error.details) == ("mediamtx_too_old", True)


async def test_a_program_that_ends_at_once_says_why(tmp_path: Path, program: Program) -> None:
    path = program("print('ERR: open /etc/secret/file.yml: no such file'); sys.exit(1)")
    error = await failure(server(tmp_path, path))
    assert error.reason == "media_server_ended"
    assert "status 1" in error.details
    assert "open <address>: no such file" in error.details


async def test_a_program_that_runs_and_does_not_serve(tmp_path: Path, program: Program) -> None:
    managed = server(tmp_path, program("time.sleep(60)"), start_limit_s=0.3)
    error = await failure(managed)
    assert error.reason == "start_timed_out"
    assert managed.ports is None
    assert not children()


@pytest.mark.parametrize(
    ("port", "words", "reason", "step"),
    [
        (554, "bind: permission denied", "port_not_allowed", "media_server.rtsp_port to a port above 1023"),
        (8554, "bind: permission denied", "port_not_allowed", "SELinux"),
        (8554, "bind: cannot assign requested address", "host_not_here", "loopback interface"),
        (
            8554,
            "bind: address already in use",
            "port_in_use",
            "Stop that program, or set media_server.rtsp_port",
        ),
        (8554, "socket: too many open files", "listen_failed", "media_server.rtsp_port"),
    ],
)
async def test_the_advice_fits_the_cause(
    tmp_path: Path, program: Program, port: int, words: str, reason: str, step: str
) -> None:
    said = f"2026/11/22 19:04:07 ERR listen tcp 127.0.0.1:{port}: {words}"
    error = await failure(server(tmp_path, program(f"print({said!r}); sys.exit(1)"), rtsp_port=port))
    assert error.reason == reason
    assert str(port) in error.details
    assert step in error.suggestion
    assert ("above 1023" in error.suggestion) is (port < 1024)


async def test_another_server_on_the_port_is_not_taken_for_ours(tmp_path: Path, program: Program) -> None:
    """One that lets everybody in answers our question too."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django

    async def open_to_all(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # one that has given up already
                await stream.receive()
                await stream.send(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"version":"v1.20.1"}')

    managed = server(tmp_path, program("time.sleep(1); sys.exit(1)"), api_port=port)
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, open_to_all)
        error = await failure(managed)
        tg.cancel_scope.cancel()
    assert error.reason == "media_server_ended"
    assert managed.ports is None


async def test_an_unwritable_state_folder(tmp_path: Path, program: Program) -> None:
    (tmp_path / FOLDER).write_text("a file")
    error = await failure(server(tmp_path, program("")))
    assert isinstance(error, StartFailed)
    assert str(tmp_path) not in error.details


async def test_a_program_that_keeps_ending_is_started_ever_less_often(
    tmp_path: Path, program: Program
) -> None:
    counter = tmp_path / "starts"
    path = program(f"open({str(counter)!r}, 'a').write('x'); sys.exit(0)")
    clock = SimulatedClock()
    supervisor = Supervisor([server(tmp_path, path)], clock=clock)
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        with anyio.fail_after(30):
            for starts, pause_s in enumerate((1.0, 2.0, 4.0), start=1):
                while len(clock.sleeps) < starts:
                    await anyio.sleep(0.01)
                assert clock.sleeps[-1] == pause_s
                assert counter.read_text() == "x" * starts
                await clock.advance(pause_s)
        problem = supervisor.problem("mediamtx")
        assert problem is not None
        assert problem.reason == "media_server_ended"
        tg.cancel_scope.cancel()


async def test_it_is_asked_to_end_before_it_is_killed(tmp_path: Path, program: Program) -> None:
    ended = tmp_path / "ended"
    body = (
        "import signal\n"
        f"signal.signal(signal.SIGINT, lambda *_: (open({str(ended)!r}, 'w').close(), print('INF bye'), sys.exit(0)))\n"
        f"open({str(tmp_path / 'up')!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    async with anyio.create_task_group() as tg:
        tg.start_soon(server(tmp_path, program(body)).run)
        await eventually(lambda: anyio.Path(tmp_path / "up").exists())
        tg.cancel_scope.cancel()
    assert ended.exists()
    assert not children()


async def test_its_lines_are_logged_with_their_level(caplog: pytest.LogCaptureFixture) -> None:
    said = (
        b"2026/11/22 19:04:07 DEB one\n2026/11/22 19:04:07 INF two\n2026/11/22 19:04:07 WAR three\n"
        b"2026/11/22 19:04:07 ERR [path x] rtsp://u:p@host/x failed\n[rtsp @ 0x1] by a command\nERR: early\n"
        + b"y" * 9000
        + b"\n\ncut"
    )
    send, receive = anyio.create_memory_object_stream[bytes](10)

    class Pieces:
        async def receive(self, max_bytes: int = 65536) -> bytes:
            return await receive.receive()

    log = ServerLog(LineLimit(), clock=SimulatedClock())
    async with send, receive:
        for start in range(0, len(said), 1000):
            send.send_nowait(said[start : start + 1000]) if start < 9000 else None
        send.send_nowait(said[9000:])
        send.close()
        with caplog.at_level(logging.DEBUG, "camera_agent.mediamtx"):
            await log.follow(Pieces())  # type: ignore[arg-type]
    levels = [(each.levelname, each.getMessage()[:40]) for each in caplog.records]
    assert levels[:6] == [
        ("DEBUG", "one"),
        ("INFO", "two"),
        ("WARNING", "three"),
        ("ERROR", "[path x] rtsp://***@host/x failed"),
        ("WARNING", "[rtsp @ 0x1] by a command"),
        ("ERROR", "early"),
    ]
    assert levels[-1] == ("WARNING", "cut")
    assert log.last_error == "early"
