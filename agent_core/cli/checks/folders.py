"""Checks of the agent's folders: existence, owner, permissions, free space."""

import os
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.accounts import account_name
from agent_core.base.read_only import is_read_only
from agent_core.base.room import LOW_INODES, Room
from agent_core.cli.output import size
from agent_core.cli.running import lock_holder, program_name
from agent_core.plugin import Finding, FindingStatus

__all__ = ("Folder", "look_at_folder", "look_at_runtime_folder")

#: sockaddr_un holds 108 bytes with the final zero (unix(7)); the name of a camera's socket has up to 24.
_LONGEST_RUNTIME_DIR_BYTES = 107 - 24
_FAILED, _WARNING, _OK = FindingStatus.FAILED, FindingStatus.WARNING, FindingStatus.OK

#: Less free space is as good as none: the agent's small files are replaced as a whole.
_FULL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Folder:
    """Folder to check.

    Args:
        name: name of the finding.
        path: the folder; it need not exist yet.
        setting: the configuration key that names it.
        low_space_bytes: less free space than this is a warning.
        account: the user id that the agent runs as.
        is_private: no other user may write to it.
    """

    name: str
    path: Path
    setting: str
    low_space_bytes: int
    account: int
    is_private: bool = False

    def finding(self, status: FindingStatus, detail: str, suggestion: str = "") -> Finding:
        return Finding(self.name, status, detail, suggestion)


def look_at_folder(folder: Folder) -> Finding:
    """Check `folder`, or its nearest existing parent. Changes nothing."""
    # Unlike Path.exists, os.path.exists returns False below a folder that this user may not enter.
    there = next(each for each in (folder.path, *folder.path.parents) if os.path.exists(each))  # noqa: PTH110
    try:
        return _fault(folder, there) or _room(folder, there)
    except OSError as error:
        if isinstance(error, PermissionError) and not _sees_as_the_agent(folder):
            detail = f"{folder.path} is left out: this user may not enter {there}."
            return folder.finding(_WARNING, detail, "Run this as root or as the agent's user.")
        said = (error.strerror or str(error)).lower()
        return folder.finding(_FAILED, f"{there} cannot be read: {said}.", _elsewhere(folder))


def look_at_runtime_folder(folder: Folder) -> Finding:
    """Check the folder of the sockets, which has additional rules."""
    if folder.path.is_symlink():
        return folder.finding(
            _FAILED, f"{folder.path} is a symbolic link.", f"Remove it, or {_elsewhere(folder, start='set')}"
        )
    if (length := len(os.fsencode(folder.path))) > _LONGEST_RUNTIME_DIR_BYTES:
        return folder.finding(
            _FAILED,
            f"The path {folder.path} has {length} bytes, too many for sockets in it.",
            f"Set {folder.setting} to a path of at most {_LONGEST_RUNTIME_DIR_BYTES} bytes.",
        )
    found = look_at_folder(folder)
    if found.status is not _OK or not folder.path.exists():
        return found
    if folder.path.stat().st_mode & 0o005:
        return folder.finding(
            _WARNING, f"Other users can enter {folder.path}.", f"Run `chmod o-rwx {folder.path}`."
        )
    holder = lock_holder(folder.path)
    used = f" In use by {program_name(holder)}." if holder else ""
    return folder.finding(_OK, f"{found.detail}{used}")


def _fault(folder: Folder, there: Path) -> Finding | None:
    """Return the fault that keeps the agent from writing to `there`, if any."""
    instead = _elsewhere(folder, start="set")
    if folder.path.is_symlink() and there != folder.path:
        return folder.finding(
            _FAILED, f"{folder.path} is a link whose target does not exist.", f"Remove it, or {instead}"
        )
    if not there.is_dir():
        return folder.finding(_FAILED, f"{there} is not a folder.", f"Move it away, or {instead}")
    if is_read_only(there):
        return folder.finding(
            _FAILED,
            f"{there} is on a file system that is mounted read-only.",
            f"Mount it writable (`dmesg` shows disk errors), or {instead}",
        )
    if _sees_as_the_agent(folder) and not os.access(there, os.W_OK | os.X_OK):
        me, owner = account_name(os.geteuid()), account_name(there.stat().st_uid)
        # The parent of a missing folder may be one of the system's, such as /run, which stays as it is.
        give = f"chown USER {there}" if there == folder.path else f"install -d -m 0750 -o USER {folder.path}"
        return folder.finding(
            _FAILED,
            f"{there} is not writable for this user, {me}; it belongs to {owner}.",
            f"Run this as the agent's user; if that fails too, give it the folder as root: `{give}`.",
        )
    return _foreign(folder) if there == folder.path else None


def _sees_as_the_agent(folder: Folder) -> bool:
    """Return True unless this process has fewer rights than the agent's account."""
    return os.geteuid() in {0, folder.account}


def _foreign(folder: Folder) -> Finding | None:
    """Return the fault in owner or permissions of an existing folder, if any."""
    status = folder.path.stat()
    if status.st_uid != folder.account and (folder.is_private or not status.st_mode & 0o022):
        owner, agent = account_name(status.st_uid), account_name(folder.account)
        return folder.finding(
            _FAILED,
            f"{folder.path} belongs to {owner}, but the agent runs as {agent}.",
            f"Run `chown --recursive {agent}: {folder.path}` as root, or {_elsewhere(folder, start='set')}",
        )
    if folder.is_private and status.st_mode & 0o022:
        return folder.finding(
            _FAILED, f"Other users can write to {folder.path}.", f"Run `chmod go-w {folder.path}`."
        )
    return None


def _room(folder: Folder, there: Path) -> Finding:
    room = Room.of(there)
    free_bytes = room.free_bytes
    missing = "" if there == folder.path else f" {folder.path} will be made in it."
    detail = f"{there}: {size(free_bytes)} free.{missing}"
    more = (
        f"Delete recordings, set recordings.max_age_days or max_count, or {_elsewhere(folder, start='set')}"
    )
    if free_bytes < _FULL_BYTES:
        return folder.finding(_FAILED, f"{there}: the disk is full.", more)
    if room.free_inodes == 0:
        return folder.finding(_FAILED, f"{there}: no free inodes on the file system.", more)
    if room.free_inodes is not None and room.free_inodes < LOW_INODES:
        return folder.finding(_WARNING, f"{there}: free inodes on the file system: {room.free_inodes}.", more)
    if free_bytes < folder.low_space_bytes:
        limit = f"health.low_space_bytes, {size(folder.low_space_bytes)}"
        return folder.finding(_WARNING, f"{there}: {size(free_bytes)} free, less than {limit}.", more)
    return folder.finding(_OK, detail)


def _elsewhere(folder: Folder, start: str = "Set") -> str:
    return f"{start} {folder.setting} to another folder."
