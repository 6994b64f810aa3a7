"""Trial of plugins in a process of its own, which sees a build that is not in use yet, as the agent would see it.

It is the check of `plugins check`. For root it runs as the account of the service, if there is one: installing a plugin runs
none of its code as root.
"""

import json
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from agent_core.cli.exits import CommandFailed
from agent_core.cli.overlay.pip import base_python, run_plainly
from agent_core.plugin_host.models import PluginStatus
from agent_core.plugin_host.overlay.place import Place

__all__ = ("Trial", "try_plugins")

#: Limit for plugins whose code cannot be interrupted as `agent_core.cli.loading` does it.
LIMIT_S = 120.0
#: Gives up root's rights before anything of the overlay can be imported.
_STUB = """
import json, os, sys
given = json.load(sys.stdin)
if given["account"]:
    uid, gid, groups = given["account"]
    os.setgroups(groups), os.setgid(gid), os.setuid(uid)
sys.path[:] = given["search_path"]
from agent_core.cli.overlay.trial import answer
answer(given)
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """Result of a trial: the state of each plugin, and the requirements of the overlay that are not met."""

    statuses: tuple[PluginStatus, ...]
    unmet: tuple[str, ...]

    def status(self, name: str) -> PluginStatus | None:
        return next((each for each in self.statuses if each.name == name), None)


def answer(given: Mapping[str, Any]) -> None:
    """Load the plugins that `given` names, and print the result; runs in the child."""
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a plugin may print
    from agent_core.cli.loading import load_plugins
    from agent_core.config import load_config
    from agent_core.plugin_host.overlay.wanted import overlay_distributions, unmet_requirements

    config = load_config([Path(each) for each in given["files"]], given["settings"])
    plugins = config.plugins.model_copy(update={"enabled": tuple(given["names"])})
    statuses = load_plugins(config.model_copy(update={"plugins": plugins}))
    unmet = unmet_requirements(overlay_distributions(Path(given["overlay"])).values())
    with result:
        json.dump({"statuses": [asdict(each) for each in statuses], "unmet": unmet}, result)
    os._exit(0)  # a plugin may have left threads


async def try_plugins(place: Place, overlay: Path, names: Sequence[str], files: Sequence[Path]) -> Trial:
    """Load plugins and call their hooks with `overlay` on the search path.

    Args:
        place: the agent's place.
        overlay: the folder of libraries that would be in use.
        names: the plugins to load, in order.
        files: the configuration files.

    Raises:
        CommandFailed: the process ended without a result.
    """
    with tempfile.TemporaryDirectory(prefix="camera-agent-") as home, tempfile.TemporaryFile() as question:
        account = _account(place, Path(home))
        question.write(json.dumps(_question(place, overlay, names, files, account)).encode())
        question.seek(0)
        argv = [base_python(), "-I", "-S", "-c", _STUB]
        with anyio.move_on_after(LIMIT_S) as limit:
            finished = await run_plainly(argv, Path(home), stdin=question.fileno())
    if limit.cancelled_caught:
        raise CommandFailed(
            f"The plugins could not be tried: this took longer than {LIMIT_S:g} s.",
            reason="trial_failed",
            suggestion="A plugin's code does not return; tell its author.",
        )
    try:
        found = json.loads(finished.stdout)
        return Trial(tuple(PluginStatus(**each) for each in found["statuses"]), tuple(found["unmet"]))
    except (ValueError, KeyError, TypeError) as error:
        last = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
        raise CommandFailed(
            f"The plugins could not be tried: {last}.",
            reason="trial_failed",
            suggestion="Run `camera-agent plugins check`; if it passes, tell the plugin's author.",
        ) from error


def _question(
    place: Place,
    overlay: Path,
    names: Sequence[str],
    files: Sequence[Path],
    account: tuple[int, int, list[int]] | None,
) -> dict[str, object]:
    search_path = [path for path in sys.path if path not in {"", str(place.site_packages)}]
    libraries = str(place.libraries)
    at = search_path.index(libraries) + 1 if libraries in search_path else len(search_path)
    search_path.insert(at, str(overlay))
    return {
        "account": account,
        "search_path": search_path,
        "overlay": str(overlay),
        "files": [str(path.absolute()) for path in files],
        "settings": {key: value for key, value in os.environ.items() if key.startswith("CAMERA_AGENT__")},
        "names": list(names),
    }


def _account(place: Place, home: Path) -> tuple[int, int, list[int]] | None:
    """Return the ids of the service's account, and give it `home`; None for another user than root, or in a checkout."""
    if os.geteuid() != 0 or place.account is None:
        return None
    try:
        found = pwd.getpwnam(place.account)
    except KeyError:
        return None
    os.chown(home, found.pw_uid, found.pw_gid)
    return found.pw_uid, found.pw_gid, os.getgrouplist(found.pw_name, found.pw_gid)
