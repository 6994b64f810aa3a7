"""FFmpeg as a tool that plugins share: find it, run it, and say in a sentence what went wrong."""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.base import processes
from agent_core.base.errors import FfmpegFailed
from agent_core.plugin.ffmpeg.explanation import explain, redact

__all__ = ("QUIET", "bundled", "locate", "run", "stream")

_log = logging.getLogger("camera_agent.ffmpeg")

#: Arguments that every run starts with: no banner, only errors, never read the terminal.
QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")

_MISSING = (
    "Install FFmpeg, set ffmpeg.program in the configuration, or add the Python package imageio-ffmpeg."
)


def bundled() -> str | None:
    """The FFmpeg of the Python package `imageio-ffmpeg`; None where that is not installed, or does not run."""
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
    """The FFmpeg to use: `program` if given, else the one on PATH, else the `imageio-ffmpeg` wheel's.

    The wheel's is tried out when it is first asked for, which takes a tenth of a second: call this in a worker
    thread.

    Args:
        program: the configured one, a name or a path; then no other is tried.
        search_path: as PATH has it; default: PATH.
        fallback: who is asked when PATH has none.

    Raises:
        FfmpegFailed: there is none (`ffmpeg_missing`).
    """
    found = shutil.which(program or "ffmpeg", path=search_path)
    if found is None and program is None:
        found = fallback()
    if found is None:
        raise _missing(f"The configured FFmpeg ({Path(program).name})" if program else "FFmpeg")
    return found


def _missing(what: str = "FFmpeg") -> FfmpegFailed:
    return FfmpegFailed(f"{what} was not found.", reason="ffmpeg_missing", suggestion=_MISSING)


async def run(program: str, arguments: Sequence[str], *, output_limit_bytes: int = 64 << 20) -> bytes:
    """Run FFmpeg to its end and return what it wrote to standard output; cancelling kills it.

    Raises:
        FfmpegFailed: it is gone, ended with an error, or wrote more than `output_limit_bytes`; as a sentence.
    """
    try:
        finished = await processes.run([program, *QUIET, *arguments], output_limit_bytes=output_limit_bytes)
    except FileNotFoundError as error:
        raise _missing() from error
    if finished.overflowed:
        raise FfmpegFailed(
            f"FFmpeg delivered more than {output_limit_bytes} bytes.",
            reason="output_too_large",
            suggestion="Check what the source sends.",
        )
    if finished.returncode != 0:
        _log.info("FFmpeg ended with status %d: %s", finished.returncode, redact(finished.stderr, arguments))
        raise explain(finished.stderr, finished.returncode, arguments)
    return finished.stdout


async def stream(program: str, arguments: Sequence[str], receive: Callable[[bytes], None]) -> None:
    """Run FFmpeg and hand its standard output to `receive`, piece by piece, until it ends; cancelling kills it.

    What `receive` raises ends FFmpeg and is raised here.

    Raises:
        FfmpegFailed: it is gone, or ended with an error, as a sentence.
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
    """Return the error that `receive` raised, as a value: raised in a task group it would arrive wrapped."""
    async for chunk in output:
        try:
            receive(chunk)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            return error
    return None
