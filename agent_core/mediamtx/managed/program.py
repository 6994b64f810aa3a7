"""The MediaMTX program: its path, its version and its environment."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio

from agent_core.base import processes
from agent_core.base.errors import StartFailed
from agent_core.mediamtx.managed.config import OLDEST, Version

__all__ = ("environment", "locate", "version_of")

_VERSION = re.compile(r"v([0-9]{1,5})\.([0-9]{1,5})\.([0-9]{1,5})")
_VERSION_TIMEOUT_S = 5.0
#: The version of a build without a release number; it counts as the newest.
_UNNUMBERED: Version = (0, 0, 0)
#: MediaMTX reads settings from these variables; `handed_on` removes the agent's own.
_NOT_HANDED_ON = ("MTX_", "RTSP_")
_SUGGESTION = "Install MediaMTX, or set media_server.program to its path."


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the agent's environment that the media server gets, and UTC as its time zone.

    MediaMTX names recordings by local time, in which an hour comes twice when summer time ends.
    """
    handed_on = processes.handed_on(ours)
    kept = {name: value for name, value in handed_on.items() if not name.startswith(_NOT_HANDED_ON)}
    return kept | {"TZ": "UTC"}


def locate(program: str) -> str:
    """Return the program's absolute path.

    Raises:
        StartFailed: `program_missing` or `program_not_executable`.
    """
    found = shutil.which(program)
    if found is not None:
        return str(Path(found).absolute())
    name = Path(program).name
    if os.sep in program and Path(program).is_file():
        raise StartFailed(
            f"The media server's program {name} is not executable.",
            reason="program_not_executable",
            suggestion="Make the file executable for the agent's user, or set media_server.program.",
        )
    raise StartFailed(
        f"The media server's program {name} was not found.", reason="program_missing", suggestion=_SUGGESTION
    )


async def version_of(program: str) -> Version:
    """Return the version that `program --version` prints.

    Raises:
        StartFailed: `not_mediamtx` or `mediamtx_too_old`.
    """
    said = ""
    with anyio.move_on_after(_VERSION_TIMEOUT_S):
        finished = await processes.run([program, "--version"], output_limit_bytes=4096)
        said = finished.stdout.decode(errors="replace").strip() if finished.returncode == 0 else ""
    found = _VERSION.match(said)
    if found is None:
        raise StartFailed(
            f"The program {Path(program).name} is not MediaMTX: it does not print a version.",
            reason="not_mediamtx",
            suggestion=_SUGGESTION,
        )
    numbers = (int(found[1]), int(found[2]), int(found[3]))
    if _UNNUMBERED < numbers < OLDEST:
        raise StartFailed(
            f"MediaMTX {found[0]} is too old.",
            reason="mediamtx_too_old",
            suggestion="Install version 1.9 or newer; docs/mediamtx.md lists the features of each version.",
        )
    return (99, 0, 0) if numbers == _UNNUMBERED else numbers
