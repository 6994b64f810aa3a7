"""Wall clock of a single program, which a test sets without touching the host's."""

import shlex
from pathlib import Path

import pytest

__all__ = ("ProgramWallClock",)


class ProgramWallClock:
    """Wall clock of the programs that `wrapped` returns; their monotonic clock stays real. Needs libfaketime.

    Args:
        folder: existing folder for the clock's two files, `offset` and `with-wall-clock`.
    """

    def __init__(self, folder: Path) -> None:
        # The program `faketime` is of no use here: it fails if an earlier one with its process id was killed.
        library = next(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"), None)
        if library is None:
            pytest.skip("there is no libfaketime below /usr/lib (Debian: apt-get install faketime)")
        self._library = str(library)
        self._folder = folder
        self._offset = folder / "offset"
        self.set(0)

    def set(self, offset_s: float) -> None:
        """Set the clock to the host's time plus `offset_s` seconds, also for programs that already run."""
        new = self._folder / "offset.new"
        new.write_text(f"{offset_s:+f}")
        new.replace(self._offset)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a program with this clock; its children have the clock, too."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def wrapped(self, program: str) -> str:
        """Return the path of a program that runs `program` with this clock."""
        words = shlex.join([f"{name}={value}" for name, value in self.environment.items()])
        path = self._folder / "with-wall-clock"
        path.write_text(f'#!/bin/sh\nexec env {words} {shlex.quote(program)} "$@"\n')
        path.chmod(0o755)
        return str(path)
