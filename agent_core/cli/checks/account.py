"""Checks of the service's account: its existence, its groups for devices, and the account that runs `doctor`."""

import grp
import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.accounts import account_name
from agent_core.cli.checks.service import UNIT, Service
from agent_core.plugin import Finding, FindingStatus

__all__ = ("account_of", "look_at_account", "look_at_devices", "look_at_own_view", "video_devices")

_READ_WRITE = 0o6


def account_of(service: Service | None, packaged: str | None = None) -> int | None:
    """Return the user id of the agent's account; None if it is not known, or does not exist.

    Args:
        service: the agent's unit, which names the account.
        packaged: the account of the installed package, which counts where systemd does not run, as in a container.
    """
    name = packaged if service is None else service.user
    if not name:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return int(name) if name.isdecimal() else None


def look_at_account(service: Service, own: int) -> list[Finding]:
    """Check that the account and the groups of the unit exist, and that the user `own` sees what the agent sees."""
    account = account_of(service)
    missing = [f"group {each}" for each in service.groups if _group_id(each) is None]
    if service.user and account is None:
        missing.insert(0, f"account {service.user}")
    if missing:
        detail = f"{UNIT} names what does not exist: {', '.join(missing)}."
        step = "Run `systemd-sysusers`, or correct the unit's drop-ins."
        return [Finding("account", FindingStatus.FAILED, detail, step)]
    return look_at_own_view(account, own)


def look_at_own_view(account: int | None, own: int) -> list[Finding]:
    """Return a warning if the user `own` may see less than the agent's `account`."""
    if account is None or own in {0, account}:
        return []
    return [
        Finding(
            "account",
            FindingStatus.WARNING,
            f"The agent runs as {account_name(account)}; this user, {account_name(own)}, may not read all that the agent reads, "
            "so that some checks are left out.",
            "Run `sudo camera-agent doctor`.",
        )
    ]


def video_devices() -> list[Path]:
    """Return the device files of cameras."""
    return sorted(Path("/dev").glob("video[0-9]*"))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups of an account by the user database, and those of its running process, if that is known."""

    listed: frozenset[int]
    held: frozenset[int]


def look_at_devices(service: Service, devices: Iterable[Path], proc: Path = Path("/proc")) -> list[Finding]:
    """Check that the service's account may open `devices`, by owner, group and permissions."""
    account = account_of(service)
    if account is None:
        return []
    groups = _groups(service, account, proc)
    opened, refused, stale = [], [], []
    for device in devices:
        with suppress(OSError):
            status = device.stat()
            if _may_open(status, account, groups.held):
                opened.append(device)
            elif _may_open(status, account, groups.listed):
                stale.append(device)
            else:
                refused.append((device, status))
    findings = [_refused(service, *each) for each in refused]
    if stale:
        detail = f"{service.user} has been added to the group of {_names(stale)}, but the running agent is not in it."
        findings.append(_warning(detail, f"Run `systemctl restart {UNIT}`."))
    if opened and not findings:
        detail = f"{service.user} may open {_names(opened)}."
        findings.append(Finding("device access", FindingStatus.OK, detail))
    return findings


def _groups(service: Service, account: int, proc: Path) -> _Groups:
    own = [each for name in service.groups if (each := _group_id(name)) is not None]
    with suppress(KeyError):
        entry = pwd.getpwuid(account)
        own += os.getgrouplist(entry.pw_name, entry.pw_gid)
    listed = frozenset(own)
    return _Groups(listed, _held(service.main_pid, proc) or listed)


def _held(pid: int, proc: Path) -> frozenset[int]:
    """Return the groups of a process; none if it does not run, or is hidden from this user."""
    with suppress(OSError, ValueError):
        lines = (proc / str(pid) / "status").read_text().splitlines() if pid else []
        words = [line.partition(":")[2].split() for line in lines if line.startswith(("Gid:", "Groups:"))]
        return frozenset(int(each) for line in words for each in line)
    return frozenset()


def _may_open(status: os.stat_result, account: int, groups: frozenset[int]) -> bool:
    if status.st_uid == account:
        return status.st_mode >> 6 & _READ_WRITE == _READ_WRITE
    if status.st_gid in groups:
        return status.st_mode >> 3 & _READ_WRITE == _READ_WRITE
    return status.st_mode & _READ_WRITE == _READ_WRITE


def _refused(service: Service, device: Path, status: os.stat_result) -> Finding:
    group = _group_name(status.st_gid)
    step = (
        f"Run `usermod --append --groups {group} {service.user}` and `systemctl restart {UNIT}`."
        if status.st_gid and status.st_mode >> 3 & _READ_WRITE == _READ_WRITE
        else f"Give {device} the group video and the mode 0660 by a rule of udev."
    )
    detail = f"{service.user} may not open {device}, which is of the group {group} with mode {status.st_mode & 0o777:04o}."
    return Finding("device access", FindingStatus.FAILED, detail, step)


def _warning(detail: str, step: str) -> Finding:
    return Finding("device access", FindingStatus.WARNING, detail, step)


def _names(devices: Iterable[Path]) -> str:
    return ", ".join(map(str, devices))


def _group_id(name: str) -> int | None:
    with suppress(KeyError):
        return grp.getgrnam(name).gr_gid
    return int(name) if name.isdecimal() else None


def _group_name(group: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(group).gr_name
    return str(group)
