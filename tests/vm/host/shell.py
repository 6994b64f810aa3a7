"""Running the programs that build and boot the machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

__all__ = ("PATH", "Stopwatch", "VmError", "output_of", "run", "say")


#: Where a user who is root by other means than a login has not all that root runs.
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class VmError(Exception):
    """The machine cannot be built or booted; the text says why."""


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command line's progress


def run(*argv: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
    """Run to the end; what it prints is shown only if it fails.

    Raises:
        VmError: it is missing or failed.
    """
    _completed(argv, cwd, environment)


def output_of(*argv: str | Path, cwd: Path | None = None) -> str:
    """As `run`, and its standard output."""
    return _completed(argv, cwd, None).stdout


def _completed(
    argv: tuple[str | Path, ...], cwd: Path | None, environment: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    words = [str(each) for each in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "PATH": PATH, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise VmError(f"{words[0]} is missing") from error
    if done.returncode != 0:
        raise VmError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Stopwatch:
    def __init__(self) -> None:
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_s
