"""Runner of the programs that build and boot the machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

__all__ = ("PATH", "Stopwatch", "VmError", "output_of", "run", "say")


#: Search path with root's folders, which are missing if root did not log in.
PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class VmError(Exception):
    """Error of a build or boot; the text gives the reason."""


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command line's progress


def run(*argv: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
    """Run a program to its end; its output appears only in the error.

    Raises:
        VmError: the program is missing or failed.
    """
    _completed(argv, cwd, environment)


def output_of(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a program as `run` does, and return its standard output."""
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
        raise VmError(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        raise VmError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Stopwatch:
    def __init__(self) -> None:
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_s
