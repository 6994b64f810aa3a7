"""Check of the versions of files in the state folder; apart from the checks of the folder, whose files it alone reads."""

import json
from contextlib import suppress
from pathlib import Path

from agent_core.base.small_files import read_small
from agent_core.plugin import Finding, FindingStatus

__all__ = ("look_at_state_files",)

#: Highest `version` of the files that this version of the agent writes into the state folder.
_VERSION = 1


def look_at_state_files(state_dir: Path) -> list[Finding]:
    """Return a finding for each file whose `version` is higher than this agent's; none if the folder is unreadable."""
    try:
        files = sorted(state_dir.glob("*.json"))
    except OSError:
        return []
    versions = ((each, _version_in(each)) for each in files)
    return [
        Finding(
            "state files",
            FindingStatus.FAILED,
            f"{path} has version {version}; this agent knows versions up to {_VERSION}: a newer agent wrote it.",
            "Install that newer version again, or restore the state folder from a backup of before the upgrade.",
        )
        for path, version in versions
        if version > _VERSION
    ]


def _version_in(path: Path) -> int:
    """Return the `version` in a file; 0 if it has none or cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        stored = json.loads(read_small(path, private=True))
        version = stored.get("version") if isinstance(stored, dict) else None
        return version if isinstance(version, int) else 0
    return 0
