"""Fixtures for all tests of the workspace, and the watch over everything that clients are sent."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ("tests.media_servers",)

_TRANSCRIPT = pytest.StashKey[Path]()
_LEAKS = pytest.StashKey[int]()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEAKS] = 0


@pytest.fixture(scope="session")
def transcript(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Everything that clients of this run received, one text a line."""
    path = tmp_path_factory.mktemp("transcript") / "received.jsonl"
    path.touch()
    request.config.stash[_TRANSCRIPT] = path
    return path


@pytest.fixture(scope="session")
def observe(transcript: Path) -> Callable[[str], None]:
    """Give it to every client: what they receive is searched for device paths at the end of the run."""

    def keep(text: str) -> None:
        with transcript.open("a") as file:
            file.write(text + "\n")

    return keep


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No reply, error or event of the whole run may hold a device path."""
    path = session.config.stash.get(_TRANSCRIPT, None)
    if path is None:
        return
    received = path.read_text().splitlines()
    leaks = [line for line in received if "/dev/" in line]
    session.config.stash[_LEAKS] = len(leaks)
    if leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif received:
        print(f"\n{len(received)} texts received by clients, none with a device path")  # noqa: T201


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    leaks = config.stash[_LEAKS]
    if leaks:
        terminalreporter.write_line(f"FAILED: {leaks} texts with a device path reached clients", red=True)
