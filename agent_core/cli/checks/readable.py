"""Permissions of files for the agent's account, which another account, such as root, does not notice by itself."""

import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from agent_core.base.accounts import account_name
from agent_core.plugin import Finding, FindingStatus

__all__ = ("look_at_configuration_files", "may_read")


def look_at_configuration_files(files: Sequence[Path], account: int) -> list[Finding]:
    """Return a finding for the configuration files, and their folders, that the agent may not read.

    A file that root has written with the umask 077 is one: for root, the configuration is valid.

    Args:
        files: the files that were read here.
        account: the user id that the agent runs as.
    """
    if account in {0, os.geteuid()}:
        return []
    paths = dict.fromkeys((*(each.parent for each in files), *files))
    return [_closed(each, account) for each in paths if not may_read(each, account)]


def _closed(path: Path, account: int) -> Finding:
    agent = account_name(account)
    return Finding(
        "configuration",
        FindingStatus.FAILED,
        f"The agent, which runs as {agent}, may not read {path}.",
        f"Run `chgrp {agent} {path}` and `chmod g+rX {path}`, then restart the agent.",
    )


def may_read(path: Path, account: int) -> bool:
    """Return True if owner, group and mode let `account` read a file, or list and enter a folder; also if it is gone."""
    try:
        status = path.stat(follow_symlinks=True)
    except OSError:
        return True
    needed = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    if account == 0:
        return True
    if account == status.st_uid:
        return status.st_mode >> 6 & needed == needed
    shift = 3 if status.st_gid in _groups(account) else 0
    return status.st_mode >> shift & needed == needed


def _groups(account: int) -> Iterable[int]:
    with suppress(KeyError):
        entry = pwd.getpwuid(account)
        return os.getgrouplist(entry.pw_name, entry.pw_gid)
    return ()
