"""Volumes: folders of stored files that may be on a disk of their own, and the proof that this disk is there.

The folder that is a mount point exists even while its disk is not mounted. Files written then land on the disk below,
where they are never listed or deleted, and disappear once the disk is mounted again. So a volume has a UUID in a file in its
root. Device numbers change when a disk is connected again, and an open descriptor would keep it from being unmounted.
"""

import logging
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent_core.base.errors import StartFailed, StateCorrupt, StorageFailed
from agent_core.base.files import StateFile, explain_os_error, make_folder
from agent_core.base.mounts import mount_point_of
from agent_core.base.read_only import is_read_only
from agent_core.base.small_files import UnsafeFile, read_small
from agent_core.base.tenancy import IN_USE, Tenancy
from agent_core.base.volume_records import VolumeRecord, VolumeRecords

__all__ = ("MARK", "KnownVolumes", "Volume")

_log = logging.getLogger("camera_agent.volumes")

#: File in a volume's root that holds its UUID; an empty one tells the agent to accept the volume as a new one.
MARK = ".camera-agent-volume"
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MARK_LIMIT_BYTES = 4096
_MARK_MODE = 0o640
_FOLDER_MODE = 0o770


class KnownVolumes:
    """Memory of the volumes that the agent has used. Blocks on the disk.

    Args:
        file: keeps the memory across restarts; None forgets it.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(self, file: Path | None = None, *, require: Callable[[], None] = lambda: None) -> None:
        self._file = None if file is None else StateFile(file, VolumeRecords, require=require)
        self._records: dict[str, VolumeRecord] = {}
        self._is_saved = True

    def load(self) -> StateCorrupt | None:
        """Read the file, as far as it is valid; return its fault, if any."""
        stored, problem = (None, None) if self._file is None else self._file.load()
        self._records = {each.root: each for each in stored.volumes} if stored else {}
        return problem

    def get(self, root: Path) -> VolumeRecord | None:
        """Return what is known of the volume at `root`; None before its first use."""
        return self._records.get(os.fspath(root))

    @property
    def is_saved(self) -> bool:
        """True if the file has all that is known."""
        return self._is_saved

    def keep(self, record: VolumeRecord) -> None:
        """Remember `record`; write the file if it changes, or could not be written before. Logs a failure."""
        was_saved = self._is_saved
        if was_saved and self._records.get(record.root) == record:
            return
        self._records[record.root] = record
        self._is_saved = False
        try:
            if self._file is not None:
                self._file.save(VolumeRecords(volumes=tuple(self._records.values())))
        except StorageFailed as error:
            if was_saved:
                _log.warning("%s %s", error.details, error.suggestion)
        else:
            self._is_saved = True


class Volume:
    """Folder of stored files. Every method blocks on the disk: call it in a thread; any thread may.

    Args:
        root: the folder.
        name: what is stored in it, for messages.
        known: remembers the volume; default: only as long as this object.
        state_dir: a folder that vanishes only together with a volume on the same disk.
        require: raises StorageFailed while a folder in which the root is must not be made again.
        link: a path to keep as a symbolic link to the root that leads nowhere while the volume is not there.
        tenancy: keeps other agents out of the volume; default: they are not noticed.
        mount_point: returns the mount point of a folder.
        device: returns the number of a folder's device.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "files",
        known: KnownVolumes | None = None,
        state_dir: Path | None = None,
        require: Callable[[], None] = lambda: None,
        link: Path | None = None,
        tenancy: Tenancy | None = None,
        mount_point: Callable[[Path], Path] = mount_point_of,
        device: Callable[[Path], int] = lambda folder: folder.stat().st_dev,
    ) -> None:
        self._root = root.absolute()
        self._name = name
        self._known = known or KnownVolumes()
        self._state_dir = state_dir
        self._require = require
        self._link = link
        self._tenancy = tenancy
        self._refusal: StorageFailed | None = None
        self._mount_point = mount_point
        self._device = device
        self._uuid: str | None = None
        self._is_settled = False

    @property
    def root(self) -> Path:
        return self._root

    @property
    def name(self) -> str:
        return self._name

    @property
    def place(self) -> Path:
        """The root by a path that leads nowhere while the volume is not there; the root itself before `claim`.

        The path passes through a folder that only this volume has, so that nothing written to it can land elsewhere.
        """
        return self._root if self._uuid is None else self._anchor(self._uuid) / ".."

    def check(self) -> None:
        """Check that the volume is there, or that this is its first use. Changes nothing.

        Raises:
            StorageFailed: `disk_missing`: nothing is mounted in its place; `disk_changed`: another disk is;
                `folder_in_use`: at the last `claim`, another agent used it; or the root cannot be read.
        """
        self._look()

    def check_writable(self) -> None:
        """Check the volume as `check` does, and that its disk is not mounted read-only. Changes nothing.

        Raises:
            StorageFailed: as `check`; `read_only`; or the disk fails.
        """
        self._look()
        try:
            if is_read_only(self._root):
                raise self._read_only()
        except FileNotFoundError:  # not made yet
            return
        except OSError as error:
            raise explain_os_error(error, f"read the folder of {self._name}") from error

    def claim(self, *, make: bool = False) -> None:
        """Check the volume as `check` does, and that it can be written; on first use give it a UUID.

        Args:
            make: make a missing root; without it, a first use waits until the root exists.

        Raises:
            StorageFailed: as `check`; `read_only`; the root would have to be made, and `require` refuses; or the disk
                fails.
        """
        try:
            found = self._find()
        except StorageFailed:
            self._leave()  # a lock on a disk that was pulled would keep the system from unmounting it
            raise
        try:
            self._claim(found, make=make)
        except OSError as error:
            raise explain_os_error(error, f"prepare the folder of {self._name}") from error

    def claim_at_start(self) -> None:
        """Keep other agents out of the volume, if it is there and can be written. Changes nothing else.

        Raises:
            StartFailed: `already_running`: another agent uses it.
        """
        try:
            self.check_writable()
            if self._root.is_dir():
                self._enter()
        except StorageFailed as error:  # every other fault is told once the agent runs
            if error.reason == IN_USE:
                raise StartFailed(
                    f"Another agent uses the folder of {self._name}, {self._root}.",
                    reason="already_running",
                    suggestion=error.suggestion,
                ) from error

    def leave_if_separate(self) -> None:
        """Let other agents in if the volume is a disk of its own, which can then be unmounted, until the next `claim`."""
        record = self._known.get(self._root)
        if record is not None and record.is_separate:
            self._leave()

    def _enter(self) -> None:
        try:
            if self._tenancy is not None:
                self._tenancy.take()
        except StorageFailed as error:
            self._refusal = error
            raise
        self._refusal = None

    def _leave(self) -> None:
        if self._tenancy is not None:
            self._tenancy.let_go()

    def _look(self) -> None:
        self._find()
        if self._refusal is not None:
            raise StorageFailed(
                self._refusal.details, reason=self._refusal.reason, suggestion=self._refusal.suggestion
            )

    def _claim(self, found: str, *, make: bool) -> None:
        if not self._root.is_dir():
            if not make:
                return
            self._require()
            make_folder(self._root, _FOLDER_MODE)
        if is_read_only(self._root):
            raise self._read_only()
        self._enter()
        found = found or self._mark()
        self._anchor(found).mkdir(mode=_FOLDER_MODE, exist_ok=True)
        self._point(found)
        if not (self._is_settled and found == self._uuid and self._known.is_saved):
            self._remember(found)
        self._uuid, self._is_settled = found, True

    def _anchor(self, found: str) -> Path:
        return self._root / f"{MARK}-{found}"

    def _find(self) -> str:
        """Return the UUID of the volume; empty if it is to get one."""
        try:
            found = self._read_mark()
        except OSError as error:
            self._is_settled = False
            raise explain_os_error(error, f"read the folder of {self._name}") from error
        record = self._known.get(self._root)
        if record is None or found == "" or found in record.uuids:
            return found or ""
        self._is_settled = False  # its mount point may be another when it is back
        now = os.fspath(self._mount_point(self._root))
        if not record.may_be_replaced(now):
            raise self._changed() if now == record.mount_point else self._missing()
        return found or ""

    def _read_mark(self) -> str | None:
        """Return the UUID in the root's mark; empty for an empty mark, None without one."""
        try:
            content = read_small(self._root / MARK, limit_bytes=_MARK_LIMIT_BYTES)
        except (FileNotFoundError, NotADirectoryError, UnsafeFile):
            return None
        words = content.strip(b" \t\r\n\0")
        known = _UUID.fullmatch(words)
        return known[0].decode() if known else None if words else ""

    def _mark(self) -> str:
        """Give the volume a UUID, or take one that was written meanwhile. File systems of USB sticks have no links."""
        mark, made = self._root / MARK, str(uuid.uuid4())
        temporary = mark.with_name(f"{MARK}.{made}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MARK_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(made.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if meanwhile := self._read_mark():
                return meanwhile
            temporary.replace(mark)
        finally:
            temporary.unlink(missing_ok=True)
        return made

    def _remember(self, found: str) -> None:
        point = os.fspath(self._mount_point(self._root))
        record = self._known.get(self._root)
        earlier = record.uuids if record is not None and record.mount_point == point else ()
        self._known.keep(
            VolumeRecord.of(
                os.fspath(self._root), point, (*earlier, found), is_separate=self._is_separate(point)
            )
        )

    def _is_separate(self, mount_point: str) -> bool:
        """Return True if the volume can vanish while the state folder stays."""
        if mount_point == "/" or self._state_dir is None:
            return False
        return self._device(self._root) != self._device(self._state_dir)

    def _point(self, found: str) -> None:
        """Let the link lead to the volume with that UUID."""
        if self._link is None:
            return
        target = self._anchor(found) / ".."
        with suppress(OSError):  # missing, or not a link
            if self._link.readlink() == target:
                return
        if (
            self._link.is_dir() and not self._link.is_symlink()
        ):  # a media server made it while there was no link
            self._link.rename(self._link.with_name(f"{self._link.name}-{uuid.uuid4()}"))
        temporary = self._link.with_name(f".{self._link.name}-{uuid.uuid4()}")
        temporary.symlink_to(target)
        temporary.replace(self._link)

    def _missing(self) -> StorageFailed:
        return StorageFailed(
            f"The disk for {self._name} is not mounted.",
            reason="disk_missing",
            suggestion="Connect and mount it; the agent then goes on by itself.",
        )

    def _changed(self) -> StorageFailed:
        return StorageFailed(
            f"Another disk is mounted in the place of the disk for {self._name}.",
            reason="disk_changed",
            suggestion=f"Mount the earlier one; or, to use this one, make an empty file {MARK} in the folder of "
            f"{self._name} on it.",
        )

    def _read_only(self) -> StorageFailed:
        return StorageFailed(
            f"The disk for {self._name} is mounted read-only.",
            reason="read_only",
            suggestion="Check it for errors (`dmesg` shows them), then mount it writable.",
        )
