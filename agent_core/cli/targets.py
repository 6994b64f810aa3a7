"""The files that commands write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_core.cli.exits import CommandFailed, UsageFailed

__all__ = ("checked_target", "writing")


def checked_target(path: Path) -> Path:
    """`path`, before anything is done in vain. A device or a pipe would be replaced by the file: refuse it.

    Raises:
        UsageFailed: it is no file, or its folder does not exist.
        CommandFailed: this account may not even look there.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            raise UsageFailed(
                f"{path} is not a file.", reason="not_a_file", suggestion="Name a file with -o."
            )
        if not path.resolve().parent.is_dir():
            raise UsageFailed(
                f"There is no folder for {path}.", reason="no_folder", suggestion="Make the folder first."
            )
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report write errors with the name `path`. Raises CommandFailed."""
    try:
        yield
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise CommandFailed(
            f"{path} could not be written: {said}.",
            reason="output_failed",
            suggestion="Choose a folder where you may write, on a disk with room for it.",
        ) from error
