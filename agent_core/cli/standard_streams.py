"""The standard streams: there in any case, and what they refuse is said."""

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
    """Open what the caller has closed, or a socket would become standard output.

    What is written to a standard output that was closed fails, as it does in other programs; errors are dropped where
    nothing takes them.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(
                os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY
            )  # the lowest free number is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def writing_output() -> Iterator[None]:
    """Say what standard output refuses.

    Raises:
        BrokenPipeError: its reader has gone.
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
            suggestion="Send the output to a place with room for it.",
        ) from error


def let_go_of_stdout() -> None:
    """Drop what is still buffered; it would be written, and fail again, when Python ends."""
    _to_nowhere(sys.stdout.fileno())


def print_error(text: str) -> None:
    """Print to standard error, where it takes anything."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _to_nowhere(sys.stderr.fileno())
