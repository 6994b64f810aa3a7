"""FFmpeg as a source of bytes that has no end of its own."""

from collections.abc import Callable, Sequence

import anyio
from anyio.abc import ByteReceiveStream

from agent_core.base import processes
from agent_core.base.errors import FfmpegFailed
from agent_core.plugin import ffmpeg

__all__ = ("stream",)


async def stream(program: str, arguments: Sequence[str], receive: Callable[[bytes], None]) -> None:
    """Run FFmpeg and hand its standard output to `receive`, piece by piece, until it ends; cancelling kills it.

    What `receive` raises ends FFmpeg and is raised here.

    Raises:
        FfmpegFailed: it is gone, or ended with an error, as a sentence.
    """
    tail = processes.Tail()
    try:
        async with processes.child([program, *ffmpeg.QUIET, *arguments]) as process:
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
        raise FfmpegFailed(
            "FFmpeg was not found.",
            reason="ffmpeg_missing",
            suggestion="Install FFmpeg, or correct ffmpeg.program in the configuration.",
        ) from error
    if returncode != 0:
        raise ffmpeg.explain(tail.text, returncode, arguments)


async def _hand_over(output: ByteReceiveStream, receive: Callable[[bytes], None]) -> Exception | None:
    """What `receive` raised, as a value: raised in a task group it would come out wrapped."""
    async for chunk in output:
        try:
            receive(chunk)
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            return error
    return None
