"""The media servers that tests of streams and recordings run on, and how many tests ran on which."""

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.base import processes
from agent_core.mediamtx.client import MediaServerClient
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx
from tests.embedded_program import CREDENTIALS

_PROGRAM = Path(__file__).with_name("embedded_program.py")
_RAN = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RAN] = Counter()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ran = config.stash.get(_RAN, Counter[str]())
    if ran:
        said = ", ".join(f"{count} on {kind}" for kind, count in sorted(ran.items()))
        found = find_mediamtx() or "not found, SKIPPED(real)"
        terminalreporter.write_line(f"streams and recordings: {said}; real MediaMTX: {found}")


@asynccontextmanager
async def running_embedded(
    folder: Path, *, ports: tuple[int, int] | None = None, kind: str = "embedded"
) -> AsyncIterator[MediaServerUnderTest]:
    """The embedded server as a process of its own, so that it can be stopped and killed like the real one."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, str(_PROGRAM), *map(str, ports or (0, 0)), str(folder), kind]
    async with processes.child(words, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        with anyio.fail_after(20):
            api_port, rtsp_port = (await process.stdout.receive()).decode().split()
        user, password = CREDENTIALS.user, CREDENTIALS.password
        yield MediaServerUnderTest(
            kind,
            f"http://{user}:{password}@127.0.0.1:{api_port}",
            f"rtsp://127.0.0.1:{rtsp_port}",
            folder,
            process,
        )


@asynccontextmanager
async def running_server(
    kind: str, folder: Path, *, ports: tuple[int, int] | None = None
) -> AsyncIterator[MediaServerUnderTest]:
    """A media server of that kind; skips where there is none."""
    folder.mkdir(exist_ok=True)
    if kind in {"embedded", "legacy"}:
        async with running_embedded(folder, ports=ports, kind=kind) as server:
            yield server
        return
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    async with running_mediamtx(program, folder, ports=ports) as server:
        yield server


@pytest.fixture(params=["embedded", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
def server_kind(request: pytest.FixtureRequest) -> str:
    """Each media server that there is: `embedded` and `mediamtx`."""
    if request.param == "mediamtx" and find_mediamtx() is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    request.config.stash.setdefault(_RAN, Counter())[request.param] += 1
    return str(request.param)


@pytest.fixture(params=["embedded", "legacy", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
async def any_media_server(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MediaServerUnderTest]:
    """As `media_server`, and the embedded server in the shapes of an older MediaMTX, `legacy`."""
    async with running_server(str(request.param), tmp_path / "media_server") as server:
        request.config.stash.setdefault(_RAN, Counter())[request.param] += 1
        yield server


@pytest.fixture
async def media_server(server_kind: str, tmp_path: Path) -> AsyncIterator[MediaServerUnderTest]:
    """A media server of each kind that there is; its own folder, no paths, no `all_others`."""
    async with running_server(server_kind, tmp_path / "media_server") as server:
        yield server


@pytest.fixture
async def media_client(media_server: MediaServerUnderTest) -> AsyncIterator[MediaServerClient]:
    async with MediaServerClient(media_server.api_url) as client:
        yield client
