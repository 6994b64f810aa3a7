"""The FFmpeg program: find it and run it."""

import logging
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.base import processes
from agent_core.base.errors import FfmpegFailed
from agent_core.plugin.ffmpeg.explanation import explain, redact

__all__ = ("QUIET", "bundled", "locate", "run", "stream")

_log = logging.getLogger("camera_agent.ffmpeg")

#: First arguments of every run: no banner, errors only, no reading from the terminal.
QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")

#: The end of FFmpeg's words that is logged at a failure; it may repeat one line for each picture.
_LOGGED_CHARACTERS = 1000

_MISSING = (
    "Install FFmpeg, set ffmpeg.program in the configuration, or add the Python package imageio-ffmpeg."
)


def bundled() -> str | None:
    """Return the FFmpeg of the Python package `imageio-ffmpeg`; None if it is not installed or does not run."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def locate(
    program: str | None = None,
    *,
    search_path: str | None = None,
    fallback: Callable[[], str | None] = bundled,
) -> str:
    """Return the FFmpeg to use: `program` if given, else the one on PATH, else that of `imageio-ffmpeg`.

    Call this in a worker thread: `imageio-ffmpeg` runs its program once, which takes a tenth of a second.

    Args:
        program: configured name or path; if given, no other program is tried.
        search_path: folders to search, in the form of PATH; default: PATH.
        fallback: called if PATH has no FFmpeg; returns a path or None.

    Raises:
        FfmpegFailed: no FFmpeg was found (`ffmpeg_missing`).
    """
    found = shutil.which(program or "ffmpeg", path=search_path)
    if found is None and program is None:
        found = fallback()
    if found is None:
        raise _missing(f"The configured FFmpeg ({Path(program).name})" if program else "FFmpeg")
    return found


def _missing(what: str = "FFmpeg") -> FfmpegFailed:
    return FfmpegFailed(f"{what} was not found.", reason="ffmpeg_missing", suggestion=_MISSING)


async def run(
    program: str,
    arguments: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    output_limit_bytes: int = 64 << 20,
) -> bytes:
    """Run FFmpeg to its end and return its standard output. Cancellation kills it.

    Args:
        program: path of FFmpeg.
        arguments: its arguments, after `QUIET`.
        stdin: an open descriptor, which the input `pipe:0` reads; by default there is nothing to read.
        output_limit_bytes: most bytes of output.

    Raises:
        FfmpegFailed: FFmpeg is missing, ended with an error, or wrote more than `output_limit_bytes`.
    """
    try:
        finished = await processes.run(
            [program, *QUIET, *arguments], stdin=stdin, output_limit_bytes=output_limit_bytes
        )
    except FileNotFoundError as error:
        raise _missing() from error
    if finished.overflowed:
        raise FfmpegFailed(
            f"FFmpeg delivered more than {output_limit_bytes} bytes.",
            reason="output_too_large",
            suggestion="Check what the source sends.",
        )
    if finished.returncode != 0:
        said = redact(finished.stderr, arguments)[-_LOGGED_CHARACTERS:]
        _log.info("FFmpeg ended with status %d: %s", finished.returncode, said)
        raise explain(finished.stderr, finished.returncode, arguments)
    return finished.stdout


async def stream(program: str, arguments: Sequence[str], receive: Callable[[bytes], None]) -> None:
    """Run FFmpeg to its end and pass its standard output to `receive` in chunks. Cancellation kills it.

    An exception in `receive` ends FFmpeg and is raised here.

    Raises:
        FfmpegFailed: FFmpeg is missing, or ended with an error.
    """
    tail = processes.Tail()
    try:
        async with processes.child([program, *QUIET, *arguments]) as process:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            assert process.stderr is not None  # noqa: S101
            async with anyio.create_task_group() as readers:
                readers.start_soon(tail.follow, process.stderr)
                problem = await _hand_over(process.stdout, receive)
                if problem is not None:
                    readers.cancel_scope.cancel()
            if problem is not None:
                raise problem
            returncode = await process.wait()
    except FileNotFoundError as error:
        raise _missing() from error
    if returncode != 0:
        raise explain(tail.text, returncode, arguments)


async def _hand_over(output: ByteReceiveStream, receive: Callable[[bytes], None]) -> Exception | None:
    """Return the error of `receive` as a value, because a task group would wrap it in an ExceptionGroup."""
    async for chunk in output:
        try:
            receive(chunk)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            return error
    return None
