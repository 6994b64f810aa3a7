"""Folders that only the agent's account can change."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_core.base.accounts import account_name
from agent_core.base.errors import StartFailed
from agent_core.base.files import explain_os_error, make_folder

__all__ = ("own_folder",)

_log = logging.getLogger("camera_agent.app")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def own_folder(path: Path, setting: str, *, follow: bool, shown: str = "") -> Iterator[int]:
    """Open the folder `path` so that only this account can change its content; make it if it is missing.

    If other accounts may write to the folder, that permission is removed, with a warning in the log.

    Args:
        path: the folder.
        setting: the configuration key of the folder, for messages.
        follow: accept a symbolic link made by this account or root, as systemd makes for `StateDirectory`.
        shown: name of the folder in messages; default: its path.

    Raises:
        StartFailed: as for `claimed_folders`.
    """
    shown = shown or str(path)
    try:
        make_folder(path)
        if path.is_symlink() and not (follow and path.lstat().st_uid in {0, os.geteuid()}):
            raise _refused(shown, setting, "is a symbolic link", "linked_folder", "Remove the link")
        descriptor = os.open(path, _DIRECTORY | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        raise _not_done(error, f"make the folder {shown}") from error
    try:
        _refuse_foreign_folder(descriptor, path, shown, setting)
        _close_to_others(descriptor, shown, setting)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_foreign_folder(descriptor: int, path: Path, shown: str, setting: str) -> None:
    owner = os.fstat(descriptor).st_uid
    if owner in {0, os.geteuid()}:
        return
    # Below /tmp another account has taken the name; the folder's content is not ours and need not be kept.
    is_below_tmp = path.parent.stat().st_mode & stat.S_ISVTX
    mend = "Remove it as root" if is_below_tmp else f"Run chown {account_name(os.geteuid())} on it as root"
    if os.geteuid() == 0 and not is_below_tmp:  # root would take the folder from the agent's own account
        mend = f"Run the agent as {account_name(owner)}, who owns it"
    raise _refused(shown, setting, "belongs to another account", "foreign_folder", mend)


def _close_to_others(descriptor: int, shown: str, setting: str) -> None:
    status = os.fstat(descriptor)
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return
    try:
        with suppress(PermissionError):
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)
    except OSError as error:  # for example a file system that is mounted read-only
        raise _not_done(error, f"close the folder {shown} to other accounts") from error
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & _WRITABLE_BY_OTHERS:
        mend = "Run chmod go-w on it as its owner"
        raise _refused(shown, setting, "is writable by other accounts", "open_folder", mend)
    _log.warning("the folder %s was writable by other accounts; its mode is now %04o", shown, mode)


def _not_done(error: OSError, doing: str) -> StartFailed:
    why = explain_os_error(error, doing)
    return StartFailed(why.details, reason=why.reason, suggestion=why.suggestion)


def _refused(shown: str, setting: str, fault: str, reason: str, mend: str) -> StartFailed:
    return StartFailed(
        f"The folder {shown} {fault}.",
        reason=reason,
        suggestion=f"{mend}, or set {setting} to a folder of the agent's own.",
    )
