"""Small files that survive a power cut: written to a temporary file, synced, renamed; state files keep a backup."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from agent_core.base.errors import LaterState, StateCorrupt, StorageFailed
from agent_core.base.partial_files import written_beside
from agent_core.base.small_files import UnsafeFile, open_regular, read_small
from agent_core.base.state_versions import refuse_later, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=BaseModel)

__all__ = ("StateFile", "explain_os_error", "make_folder", "write_atomic", "write_durable", "write_new")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_REASONS = {
    "ENOSPC": ("disk_full", "Free some space on this disk."),
    "EDQUOT": ("disk_full", "Free some space: the disk quota is used up."),
    "EACCES": ("not_writable", "Give the agent's user write permission on this folder."),
    "EPERM": ("not_writable", "Give the agent's user write permission on this folder."),
    "EROFS": ("read_only", "Remount the file system writable, or configure another folder."),
    "ENOTDIR": ("not_a_folder", "Remove the file that is in the place of the folder."),
}
_UNKNOWN: "tuple[str, str | None]" = ("storage_failed", None)
_UNSAFE = ("unsafe_file", "Find out which program made it, then delete it.")


def explain_os_error(error: OSError, doing: str) -> StorageFailed:
    """Return `error` as a sentence with reason and suggestion; `doing` names the failed action: "store a snapshot"."""
    name = errno.errorcode.get(error.errno or 0, "")
    reason, suggestion = _UNSAFE if isinstance(error, UnsafeFile) else _REASONS.get(name, _UNKNOWN)
    said = (error.strerror or str(error)).lower()
    return StorageFailed(f"Could not {doing}: {said}.", reason=reason, suggestion=suggestion, detail=said)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make `path` and its missing parents with `mode`, less the umask; `Path.mkdir` ignores `mode` for parents.

    Raises:
        OSError: a folder cannot be made, or the path is something else.
    """
    for folder in (*reversed(path.parents), path):
        if folder == path or not folder.exists():
            folder.mkdir(mode=mode, exist_ok=True)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Replace the content of `path` by `data`. Readers and power cuts see the old or the new content, never a mixture.

    Blocks on the disk: call it in a worker thread. Leaves `path` unchanged if it raises OSError.
    """
    with written_beside(path, data, mode) as temporary:
        temporary.replace(path)
    _sync_folder(path)


def write_durable(path: Path, data: bytes) -> None:
    """Replace the content of `path` like `write_atomic`, but on a full disk overwrite an existing file in place.

    File systems give a small file a whole block, so that it needs no new space to grow a little. A power cut in the
    middle may leave a mixture; this is the last resort where the old content would be wrong.

    Raises:
        OSError: neither is possible; `path` is unchanged.
    """
    try:
        write_atomic(path, data)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        try:
            _overwrite(path, data)
        except FileNotFoundError:
            raise error from None


def _overwrite(path: Path, data: bytes) -> None:
    descriptor = open_regular(path, os.O_WRONLY)
    try:
        os.posix_fallocate(descriptor, 0, len(data))  # fails before anything is changed
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Write a new file like `write_atomic`; raise FileExistsError if `path` exists."""
    with written_beside(path, data, mode) as temporary:
        path.hardlink_to(temporary)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class StateFile(Generic[M]):
    """Pydantic model stored in a JSON file; the content before it is kept in `<name>.bak`.

    A file of a later version of the agent, as a downgrade leaves behind, is not used, moved or replaced.

    Args:
        path: the file; `save` does not make its folder, which may be on a disk that is not there.
        model: type of the value; its field `version` has the version of the file as its default.
        mode: permissions of both files.
        require: raises StorageFailed while the file must not be written.
    """

    def __init__(
        self,
        path: Path,
        model: type[M],
        *,
        mode: int = 0o600,
        require: "Callable[[], None]" = lambda: None,
    ) -> None:
        self._path = path
        self._backup = path.with_name(path.name + ".bak")
        self._model = model
        self._version = version_of(model)
        self._mode = mode
        self._require = require

    def load(self) -> tuple[M | None, StateCorrupt | None]:
        """Return the stored value and the fault of the file, each None if there is none.

        An unreadable file is renamed to `<name>.corrupt`, never deleted, and the backup is read instead. The result is
        `(None, None)` if there is no file, `(None, error)` if neither is usable, and `(None, LaterState)` if the file is of
        a later version.
        """
        value, problem = self._read(self._path)
        if (problem is None and value is not None) or isinstance(problem, LaterState):
            return value, problem
        if problem is not None:
            with suppress(OSError):  # the new name may be taken, by something that is not ours either
                self._path.replace(self._path.with_name(self._path.name + ".corrupt"))
        backup, fault = self._read(self._backup)
        return backup, fault if isinstance(fault, LaterState) else problem

    def save(self, value: M, *, over_later: bool = False) -> None:
        """Store `value` and keep the content before as backup. Blocks on the disk.

        Args:
            value: the value.
            over_later: replace even a file of a later version, because a person wants it.

        Raises:
            StorageFailed: the value cannot be stored, or the file is of a later version; it is unchanged.
        """
        self._require()
        try:
            if not over_later:
                self._keep_later()
            with suppress(FileNotFoundError, UnsafeFile):
                write_atomic(self._backup, read_small(self._path), mode=self._mode)
            write_atomic(self._path, value.model_dump_json(indent=2).encode() + b"\n", mode=self._mode)
        except OSError as error:
            raise explain_os_error(error, f"store the agent's state ({self._path.name})") from error

    def _keep_later(self) -> None:
        for path in (self._path, self._backup):
            try:
                with suppress(FileNotFoundError, UnsafeFile):
                    refuse_later(path.name, read_small(path), self._version)
            except LaterState as error:
                raise StorageFailed(
                    error.details, reason=error.reason, suggestion=error.suggestion, detail=error.detail
                ) from error

    def _read(self, path: Path) -> tuple[M | None, StateCorrupt | None]:
        try:
            content = read_small(path, private=True)
            refuse_later(path.name, content, self._version)
            return self._model.model_validate_json(content), None
        except FileNotFoundError:
            return None, None
        except LaterState as error:
            return None, error
        except (ValidationError, OSError) as error:
            return None, StateCorrupt(
                f"The state file {path.name} cannot be read; it was renamed to {path.name}.corrupt.",
                reason=f"{path.stem.replace('-', '_')}_corrupt",
                suggestion=f"Compare {path.name}.corrupt with {path.name}, then delete it.",
                detail=getattr(error, "strerror", None) or type(error).__name__,
            )
