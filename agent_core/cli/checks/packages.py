"""Check of the agent's Debian packages: completely installed, all of one version, and the version that runs."""

from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from agent_core.base import processes
from agent_core.plugin import Finding, FindingStatus

__all__ = ("DebianPackage", "find_packages", "look_at_packages", "look_at_running_version")

_NAME = "packages"
_AGENT = "camera-agent"
_ANSWER_S = 5.0
_FORMAT = r"${source:Package}\t${Package}\t${Version}\t${db:Status-Status}\n"
#: States of dpkg-query(1) in which no program of the package is there.
_GONE = {"not-installed", "config-files"}


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """Package that was built with the agent; `state` is dpkg's."""

    name: str
    version: str
    state: str = "installed"


async def find_packages() -> tuple[DebianPackage, ...]:
    """Return the installed packages of the agent's source package; none without dpkg."""
    with anyio.move_on_after(_ANSWER_S):
        try:
            answer = await processes.run(
                ["dpkg-query", "--show", f"--showformat={_FORMAT}", f"{_AGENT}*"], output_limit_bytes=1 << 20
            )
        except OSError:
            return ()
        rows = [line.split("\t") for line in answer.stdout.decode(errors="replace").splitlines()]
        return tuple(
            DebianPackage(*row[1:])
            for row in rows
            if len(row) == 4 and row[0] == _AGENT and row[3] not in _GONE
        )
    return ()


def look_at_packages(packages: Iterable[DebianPackage]) -> list[Finding]:
    """Check the packages of the agent and of plugins against each other; return no finding without packages."""
    packages = sorted(packages, key=lambda each: each.name)
    if not packages:
        return []
    if broken := [f"{each.name} ({each.state})" for each in packages if each.state != "installed"]:
        detail = f"Packages are not completely installed: {', '.join(broken)}."
        # Half unpacked ones need their files again: neither dpkg nor apt has kept these.
        again = "`dpkg --install ./camera-agent*.deb` beside the packages' files"
        step = (
            f"Run `dpkg --configure --pending` or, if that fails, {again}; then `apt install --fix-broken`."
        )
        return [_failed(detail, step)]
    versions = ", ".join(f"{each.name} {each.version}" for each in packages)
    if len({each.version for each in packages}) > 1:
        names = " ".join(each.name for each in packages)
        step = f"Install the same version of all: `apt install {names}`, or name their files."
        return [_failed(f"The packages have different versions: {versions}.", step)]
    return [Finding(_NAME, FindingStatus.OK, f"{versions}.")]


def look_at_running_version(running: str, installed: str) -> list[Finding]:
    """Compare the version of the running agent with that of the program that runs this check."""
    if running == installed:
        return []
    detail = f"The running agent is version {running}, but version {installed} is installed."
    return [
        Finding("version", FindingStatus.WARNING, detail, "Restart it: `systemctl restart camera-agent`.")
    ]


def _failed(detail: str, step: str) -> Finding:
    return Finding(_NAME, FindingStatus.FAILED, detail, step)
