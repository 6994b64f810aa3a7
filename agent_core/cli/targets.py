"""Files that commands write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_core.cli.exits import CommandFailed, UsageFailed

__all__ = ("checked_target", "writing")


def checked_target(path: Path) -> Path:
    """Return `path` if it can be a target; refuse a device or pipe, which the file would replace.

    Call it before the work that makes the file.

    Raises:
        UsageFailed: it is not a file, or its folder does not exist.
        CommandFailed: this user may not read the folder.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            raise UsageFailed(
                f"{path} is not a file.", reason="not_a_file", suggestion="Name a file with -o."
            )
        if not path.resolve().parent.is_dir():
            raise UsageFailed(
                f"The folder of {path} does not exist.",
                reason="no_folder",
                suggestion="Make the folder first.",
            )
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn OSError inside into a CommandFailed that names `path`."""
    try:
        yield
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise CommandFailed(
            f"{path} could not be written: {said}.",
            reason="output_failed",
            suggestion="Choose a folder that you may write to, on a disk with free space.",
        ) from error
