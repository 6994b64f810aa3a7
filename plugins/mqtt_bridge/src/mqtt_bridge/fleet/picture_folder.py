"""Folder that pictures of many agents are stored in: each whole or not at all, and none in the place of another file."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.plugin.commands import CommandFailed, UsageFailed
from agent_core.plugin.state import explain_os_error

__all__ = ("PictureFolder",)

_SAME_NAMES = 1000


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Existing folder. Names of files come from agents' ids and answers, so none may lead out of it."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "PictureFolder":
        """Return the folder; make it if it does not exist, but not its parents.

        Raises:
            UsageFailed: the path is a file.
            StorageFailed: the folder cannot be made.
        """
        try:
            path.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise UsageFailed(
                f"{path} is not a folder.", reason="not_a_folder", suggestion="Name a folder with -o."
            ) from error
        except OSError as error:
            raise explain_os_error(error, f"make the folder {path}") from error
        return cls(path)

    def store(self, name: str, suffix: str, content: bytes) -> Path:
        """Store a file `NAME.SUFFIX`, or `NAME-2.SUFFIX` if that exists; return its path. Blocks on the disk.

        Raises:
            StorageFailed: it cannot be written; nothing is left behind.
            CommandFailed: there are too many files of that name.
        """
        if Path(name).name != name:
            raise CommandFailed(f"'{name}' is not the name of a file.", reason="bad_name")
        temporary = self.path / f".{secrets.token_hex(8)}.part"
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb"
            ) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            return self._named(temporary, name, suffix)
        except OSError as error:
            raise explain_os_error(error, f"store a picture in {self.path}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _named(self, temporary: Path, name: str, suffix: str) -> Path:
        for number in range(1, _SAME_NAMES):
            path = self.path / (f"{name}.{suffix}" if number == 1 else f"{name}-{number}.{suffix}")
            try:
                _move(temporary, path)
            except FileExistsError:
                continue
            return path
        raise CommandFailed(
            f"{self.path} has {_SAME_NAMES} files named {name}.",
            reason="too_many_files",
            suggestion="Choose another folder.",
        )


def _move(temporary: Path, path: Path) -> None:
    """Give the file its name. Raises FileExistsError if another one has it."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as FAT: reserve the name, then replace the empty file
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        temporary.replace(path)
