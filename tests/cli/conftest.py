"""The command line as a process of its own, in an environment without configuration."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

if TYPE_CHECKING:
    from tests.conftest import ToyAgent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def value(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """Standard error as the one JSON object of `--json`."""
        return json.loads(self.err)["error"]

    @property
    def lines(self) -> tuple[str, str]:
        """What happened and what to do: standard error has these two lines and no other."""
        what, todo, *rest = self.err.splitlines()
        assert not rest, self.err
        assert what.startswith("camera-agent: ")
        assert todo.startswith("What to do: ")
        assert len(todo) > len("What to do: ...")
        return what, todo


Cli = Callable[..., Awaitable[Ended]]


@dataclass(frozen=True)
class Home:
    """An account's folders. `environment` has what the command line looks at, and nothing of the test's own."""

    path: Path

    @property
    def state_dir(self) -> Path:
        return self.path / "state"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "HOME": str(self.path),
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": str(self.path / "config"),
            "XDG_CACHE_HOME": str(self.path / "cache"),
            "CAMERA_AGENT__STORAGE__STATE_DIR": str(self.state_dir),
            "CAMERA_AGENT__STORAGE__RUNTIME_DIR": str(self.path / "runtime"),
            "CAMERA_AGENT__SERVER__PORT": "0",
            **(more or {}),
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def cli(home: Home) -> Cli:
    async def run(*arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> Ended:
        command = [sys.executable, "-m", "agent_core", *arguments]
        with anyio.fail_after(90):
            done = await anyio.run_process(
                command, check=False, env=home.environment(env), cwd=home.path, **options
            )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    return run


@pytest.fixture
def announced(toy: "ToyAgent", home: Home) -> "ToyAgent":
    """The toy agent as the one of this host: its state folder is the configured one, and says where it listens."""
    assert toy.state_dir == home.state_dir
    endpoint = {"url": toy.url, "pid": os.getpid()}
    (toy.state_dir / "endpoint.json").write_text(json.dumps(endpoint))
    return toy
