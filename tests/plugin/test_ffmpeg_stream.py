import os

import anyio
import imageio_ffmpeg
import pytest

from agent_core.base.errors import FfmpegFailed
from agent_core.plugin.ffmpeg import stream
from agent_core.testing.contracts import children

FFMPEG = str(imageio_ffmpeg.get_ffmpeg_exe())
ENDLESS = ("-re", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=30", "-f", "rawvideo", "pipe:1")
SHORT = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=1", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1")


async def test_all_output_arrives_in_order_until_the_end() -> None:
    output = bytearray()
    with anyio.fail_after(30):
        await stream(FFMPEG, SHORT, output.extend)
    assert len(output) == 64 * 48 * 30


async def test_cancelling_leaves_no_child() -> None:
    before = children()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            arrived = anyio.Event()
            tg.start_soon(stream, FFMPEG, ENDLESS, lambda _: arrived.set())
            await arrived.wait()
            assert len(children() - before) == 1
            tg.cancel_scope.cancel()
    assert children() == before


async def test_what_the_receiver_raises_comes_out_as_it_is() -> None:
    before = children()

    def refuse(_: bytes) -> None:
        raise KeyError("no more")

    with anyio.fail_after(30), pytest.raises(KeyError, match="no more"):
        await stream(FFMPEG, ENDLESS, refuse)
    assert children() == before


async def test_an_error_of_ffmpeg_is_a_sentence() -> None:
    with anyio.fail_after(30), pytest.raises(FfmpegFailed) as caught:
        await stream(FFMPEG, ("-i", "/nowhere/at-all.mp4", "-f", "null", "-"), lambda _: None)
    assert caught.value.reason == "input_missing"
    assert "/nowhere" not in caught.value.details + caught.value.detail


async def test_a_missing_program_is_said_to_be_missing() -> None:
    with pytest.raises(FfmpegFailed) as caught:
        await stream("/nowhere/ffmpeg", ENDLESS, lambda _: None)
    assert caught.value.reason == "ffmpeg_missing"
    assert caught.value.suggestion


async def test_a_killed_ffmpeg_is_an_error() -> None:
    before = children()

    def kill(_: bytes) -> None:
        for child in children() - before:
            os.kill(child, 9)

    with anyio.fail_after(30), pytest.raises(FfmpegFailed, match="signal 9"):
        await stream(FFMPEG, ENDLESS, kill)
