"""Checks of the files in the state folder: their owners and versions; apart from the checks of the folder itself."""

import json
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agent_core.base.accounts import account_name
from agent_core.base.small_files import read_small
from agent_core.cli.checks.readable import may_read
from agent_core.plugin import Finding, FindingStatus

__all__ = ("look_at_state_files",)

#: Highest `version` of the files that this version of the agent writes into the state folder.
_VERSION = 1


def look_at_state_files(state_dir: Path, account: int) -> list[Finding]:
    """Return the findings for the files directly in the state folder; none if the folder is unreadable.

    Args:
        state_dir: the state folder.
        account: the user id that the agent runs as.
    """
    try:
        files = sorted(state_dir.iterdir())
    except OSError:
        return []
    return [*_closed(state_dir, files, account), *_newer(each for each in files if each.suffix == ".json")]


def _closed(state_dir: Path, files: list[Path], account: int) -> list[Finding]:
    """Return a finding if the agent may not open some files, as after a backup that root restored without owners."""
    closed = [each for each in files if _is_closed(each, account)]
    if not closed:
        return []
    owner, agent = account_name(closed[0].lstat().st_uid), account_name(account)
    more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
    return [
        _failed(
            f"The agent, which runs as {agent}, may not open {closed[0]}{more}; it belongs to {owner}.",
            f"Run `chown --recursive {agent}: {state_dir}` as root, then restart the agent.",
        )
    ]


def _is_closed(path: Path, account: int) -> bool:
    """Return True for a file that the agent may not read, or a lock of it that is another account's."""
    with suppress(OSError):
        status = path.lstat()
        is_foreign = stat.S_ISREG(status.st_mode) and account not in {0, status.st_uid}
        return is_foreign and (path.suffix == ".lock" or not may_read(path, account))
    return False


def _newer(files: Iterable[Path]) -> list[Finding]:
    """Return a finding for each file whose `version` is higher than this agent's."""
    versions = ((each, _version_in(each)) for each in files)
    return [
        _failed(
            f"{path} has version {version}; this agent knows versions up to {_VERSION}: a newer agent wrote it.",
            "Install that newer version again, or restore the state folder from a backup of before the upgrade.",
        )
        for path, version in versions
        if version > _VERSION
    ]


def _failed(detail: str, suggestion: str) -> Finding:
    return Finding("state files", FindingStatus.FAILED, detail, suggestion)


def _version_in(path: Path) -> int:
    """Return the `version` in a file; 0 if it has none or cannot be read."""
    with suppress(OSError, ValueError, RecursionError):
        stored = json.loads(read_small(path, private=True))
        version = stored.get("version") if isinstance(stored, dict) else None
        return version if isinstance(version, int) else 0
    return 0
