"""Scripted programs. They stand for a process that hangs, fails or prints something, and for no real program's behaviour."""

import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_core.testing.scripted_producer import a_jpeg

#: Prints nothing and ignores SIGINT; its child, in the same group, does so, too.
HANG = "import signal,subprocess,sys,time; signal.signal(2, 1); subprocess.Popen(['sleep', '600']); time.sleep(600)"


@dataclass
class Programs:
    """Folder with scripted programs, as the only one in PATH (besides Python and coreutils, by absolute paths)."""

    folder: Path

    @property
    def path(self) -> str:
        return str(self.folder)

    def write(self, name: str, python: str) -> Path:
        """Write a program that runs `python`; replacing one does not touch a process that runs."""
        program = self.folder / name
        fresh = self.folder / f"{name}.new"
        fresh.write_text(f"#!{sys.executable} -IS\n{python}\n")
        fresh.chmod(fresh.stat().st_mode | stat.S_IXUSR)
        fresh.replace(program)
        return program

    def list_cameras(self, *lines: str) -> None:
        """Have `cam` list cameras: `1: 'MODEL' (ID)`."""
        text = "\n".join(("Available cameras:", *lines))
        self.write("cam", f"print({text!r})")

    def capture(self, python: str) -> None:
        self.write("gst-launch-1.0", python)

    def capture_pictures(self, then: str = "time.sleep(600)") -> None:
        """Have GStreamer's program print two pictures with each start, and then do something."""
        picture = a_jpeg()
        self.capture(
            f"import sys, time\nsys.stdout.buffer.write(2 * {picture!r})\nsys.stdout.flush()\n{then}"
        )


@pytest.fixture
def programs() -> Iterator[Programs]:
    with TemporaryDirectory(prefix="ca-") as folder:
        yield Programs(Path(folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets."""
    with TemporaryDirectory(prefix="ca-") as folder:
        yield Path(folder)
