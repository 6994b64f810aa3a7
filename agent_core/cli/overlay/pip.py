"""Runs of pip: the wheel of it that the agent's package contains, else the one of the Python interpreter.

pip installs into a virtual environment that sees the agent's libraries, so that it takes them for installed and leaves them
alone. Variables of the environment and files of the user do not change what it does; the system's /etc/pip.conf does, as it
names the package index of the site.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.processes import Finished, find_launcher, run
from agent_core.cli.exits import CommandFailed
from agent_core.plugin_host.overlay.place import Place

__all__ = ("Sources", "base_python", "explained", "install", "run_plainly")

#: Variables that reach a child besides those of the locale: proxies, and the authorities that are trusted.
_KEPT = re.compile(r"(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|LANG|LC_\w+|TZ", re.IGNORECASE)
_CONFLICT = re.compile(r"The conflict is caused by:\n((?:[ \t]+\S.*\n)+)")
#: First line of a fault of pip's own; a list of calls follows.
_CRASH = "ERROR: Exception:"
#: Less room than this, when pip has failed, is the reason: it unpacks its certificates, for example, and reads them cut off.
_ROOM_BYTES = 1 << 20
_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|Network is unreachable|Connection refused|ConnectTimeout"
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources that pip takes distributions from.

    Attributes:
        find_links: folders of wheels to use instead of the index.
        index_url: the index to use instead of the system's.
        allow_build: accept source distributions, whose own code then runs as root.
    """

    find_links: tuple[Path, ...] = ()
    index_url: str | None = None
    allow_build: bool = False

    def words(self) -> list[str]:
        """Return pip's options."""
        words = [] if self.allow_build else ["--only-binary=:all:"]
        if self.find_links:
            words.append("--no-index")
            words += [f"--find-links={folder.absolute()}" for folder in self.find_links]
        elif self.index_url:
            words.append(f"--index-url={self.index_url}")
        return words


async def run_plainly(argv: Sequence[str], folder: Path, *, stdin: int = subprocess.DEVNULL) -> Finished:
    """Run `argv` in `folder`, with few variables of the environment and no other PATH than the system's."""
    environment = _plain(os.environ, folder)
    launcher = find_launcher(environment["PATH"])
    return await run(argv, stdin=stdin, launcher=launcher, env=environment, cwd=folder)


def base_python() -> str:
    """Return the path of the interpreter outside any virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _plain(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of a child: only what it needs of `environment`, and `folder` for its own files."""
    kept = {name: value for name, value in environment.items() if _KEPT.fullmatch(name)}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return {**kept, **own, "PYTHONDONTWRITEBYTECODE": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}


def _program(place: Place) -> list[str]:
    wheels = sorted(place.base.glob("wheels/pip-*.whl")) if place.is_packaged else []
    return [base_python(), "-I", *([str(wheels[-1] / "pip")] if wheels else ["-m", "pip"])]


async def install(
    place: Place, python: Path, requirements: Path, constraints: Path, sources: Sources
) -> None:
    """Install into the virtual environment of `python`.

    Args:
        place: the agent's place.
        python: the interpreter of the environment.
        requirements: a file with all wanted requirements.
        constraints: a file with the versions that must stay.
        sources: where pip looks for distributions.

    Raises:
        CommandFailed: pip is missing, or has not installed everything.
    """
    general = (
        "--isolated --no-input --disable-pip-version-check --no-cache-dir --no-color --retries=1 --timeout=15"
    )
    options = "--no-compile --no-warn-script-location --root-user-action=ignore"
    files = [f"--constraint={constraints}", f"--requirement={requirements}"]
    finished = await run_plainly(
        [
            *_program(place),
            *("--python", str(python)),
            *general.split(),
            "install",
            *options.split(),
            *sources.words(),
            *files,
        ],
        requirements.parent,
    )
    if finished.returncode:
        raise explained(finished, sources, shutil.disk_usage(place.root).free)


def explained(finished: Finished, sources: Sources, free_bytes: int) -> CommandFailed:
    """Return the failure of pip as a sentence; `free_bytes` is the room that the overlay's disk has left."""
    said = finished.stdout.decode(errors="replace")
    if "No module named pip" in finished.stderr:
        return CommandFailed(
            "There is no pip.", reason="no_pip", suggestion="Install the package python3-pip."
        )
    if conflict := _CONFLICT.search(said):
        lines = (line.strip() for line in conflict.group(1).splitlines())
        text = "; ".join(lines).replace("The user requested (constraint)", "this agent has")
        return CommandFailed(
            f"The versions do not fit together: {text}.",
            reason="versions_conflict",
            suggestion="Install a version of the plugin for this agent's versions, or upgrade the agent.",
        )
    crashed = _CRASH in finished.stderr
    if "Errno 28" in finished.stderr + said or (crashed and free_bytes < _ROOM_BYTES):
        return CommandFailed(
            "The disk is full.", reason="disk_full", suggestion="Free some space on this disk."
        )
    if not sources.find_links and _NETWORK.search(finished.stderr + said):
        return CommandFailed(
            "The package index cannot be reached.",
            reason="no_network",
            suggestion="Repair the connection, or put all wheels into a folder and name it with --find-links.",
        )
    return _not_found(_errors(finished.stderr.splitlines()), sources)


def _errors(lines: Iterable[str]) -> str:
    told = [line for line in lines if line.strip()]
    if _CRASH in told:
        return told[-1]
    found = [line.removeprefix("ERROR: ") for line in told if line.startswith("ERROR: ")]
    return " ".join(found) or "pip ended without saying why"


def _not_found(text: str, sources: Sources) -> CommandFailed:
    step = "Correct the name or the version."
    if "requires a different Python" in text:
        step = "Get a version of it for this Python."
    elif sources.find_links:
        step = "Put the missing wheels into the folder of --find-links."
    elif not sources.allow_build:
        step = "Correct the name or the version. If there is only source code, build a wheel of it, or give --allow-build."
    return CommandFailed(f"pip: {text.rstrip('.')}.", reason="pip_failed", suggestion=step)
