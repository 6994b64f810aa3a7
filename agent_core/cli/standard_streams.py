"""Standard streams: opened if the caller closed them; write errors are reported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agent_core.cli.exits import CommandFailed

__all__ = ("let_go_of_stdout", "open_missing_streams", "print_error", "writing_output")


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def open_missing_streams() -> None:
    """Open the standard streams that the caller has closed: otherwise a socket could become standard output.

    Writing to a standard output that was closed fails, as in other programs; a closed standard error discards errors.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(
                os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY
            )  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def writing_output() -> Iterator[None]:
    """Report errors of writing to standard output.

    Raises:
        BrokenPipeError: the reader has gone.
        CommandFailed: anything else, such as a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go_of_stdout()
        said = (error.strerror or str(error)).lower()
        raise CommandFailed(
            f"The output could not be written: {said}.",
            reason="output_failed",
            suggestion="Redirect the output to a file on a disk with free space.",
        ) from error


def let_go_of_stdout() -> None:
    """Discard buffered output: Python would write it at exit, and fail again."""
    _to_nowhere(sys.stdout.fileno())


def print_error(text: str) -> None:
    """Print to standard error; ignore write errors."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _to_nowhere(sys.stderr.fileno())
