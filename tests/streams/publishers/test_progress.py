"""Reports of publishers on their sockets."""

import logging
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from agent_core.base.clock import SystemClock
from agent_core.base.models import CameraId
from agent_core.base.socket_place import LOOK_S
from agent_core.plugin import ffmpeg
from agent_core.streams.publishers.progress import PublisherProgress
from agent_core.testing import SimulatedClock
from agent_core.testing.waiting import eventually

CAMERA = CameraId("camera0")


@asynccontextmanager
async def reports(folder: Path) -> AsyncIterator[PublisherProgress]:
    progress = PublisherProgress(folder, clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(progress.run)
        yield progress
        tg.cancel_scope.cancel()


async def connected(progress: PublisherProgress) -> SocketStream:
    return await anyio.connect_unix(progress.reporting_arguments(CAMERA)[-1].removeprefix("unix:"))


async def shows(progress: PublisherProgress, frames: int | None) -> None:
    async def so() -> bool:
        return progress.frames(CAMERA) == frames

    await eventually(so)


async def test_an_ffmpeg_reports_its_frames(tmp_path: Path) -> None:
    async with reports(tmp_path) as progress:
        words = progress.reporting_arguments(CAMERA)
        assert words == progress.reporting_arguments(CAMERA)
        source = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10"]
        async with anyio.create_task_group() as tg:
            tg.start_soon(ffmpeg.run, ffmpeg.locate(), [*source, "-f", "null", *words, "-"])
            with anyio.fail_after(20):
                while (progress.frames(CAMERA) or 0) < 10:
                    await anyio.sleep(0.05)
            tg.cancel_scope.cancel()
        await shows(progress, None)


async def test_the_publisher_that_came_last_counts(tmp_path: Path) -> None:
    async with reports(tmp_path) as progress:
        first = await connected(progress)
        await first.send(b"frame=7\nfps=0.0\nprogress=continue\nfra")
        await shows(progress, 7)
        await first.send(b"me=  12\nprogress=continue\n")
        await shows(progress, 12)
        second = await connected(progress)
        await second.send(b"frame=1\nprogress=continue\n")
        await shows(progress, 1)
        await first.send(b"frame=99\nprogress=continue\n")
        await first.aclose()
        await second.send(b"frame=2\nframe=3\nprogress=continue\n")
        await shows(progress, 3)
        await second.aclose()
        await shows(progress, None)


async def test_the_program_that_reports_is_known(tmp_path: Path) -> None:
    async with reports(tmp_path) as progress:
        assert progress.process(CAMERA) is None
        stream = await connected(progress)
        await shows(progress, 0)
        process = progress.process(CAMERA)
        assert process is not None
        assert process.pid == os.getpid()
        assert process.started_s <= SystemClock().monotonic_s()
        await stream.aclose()
        await shows(progress, None)
        assert progress.process(CAMERA) is None


async def test_a_publisher_may_outlive_its_successor(tmp_path: Path) -> None:
    async with reports(tmp_path) as progress:
        first = await connected(progress)
        await first.send(b"frame=7\n")
        await shows(progress, 7)
        second = await connected(progress)
        await second.send(b"frame=1\n")
        await shows(progress, 1)
        await second.aclose()
        await shows(progress, None)
        await first.send(b"frame=8\n")
        await first.aclose()
        third = await connected(progress)
        await third.send(b"frame=2\n")
        await shows(progress, 2)
        await third.aclose()


async def test_what_is_no_report_changes_nothing(tmp_path: Path) -> None:
    async with reports(tmp_path) as progress:
        async with await connected(progress) as stream:
            await stream.send(b"frame=5\n")
            await stream.send(b"drop_frame=8\nframe=N/A\nframe=" + 100_000 * b"x" + b"\n\n\0\xff\n")
            await stream.send(b"frame=6\n")
            await shows(progress, 6)


async def test_the_sockets_are_for_the_group_and_gone_with_the_agent(tmp_path: Path) -> None:
    (tmp_path / "camera0.progress.sock").write_text("left over")
    async with reports(tmp_path) as progress:
        path = Path(progress.reporting_arguments(CAMERA)[-1].removeprefix("unix:"))
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()
    assert progress.reporting_arguments(CAMERA) == ()


@pytest.mark.parametrize("name", ["a_file", 120 * "x"])
async def test_a_socket_that_cannot_be_made_costs_the_number_only(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a_file").write_text("")
    with caplog.at_level(logging.WARNING):
        async with reports(tmp_path / name) as progress:
            assert progress.reporting_arguments(CAMERA) == ()
            assert progress.frames(CAMERA) is None
    assert "cannot report" in caplog.text


async def test_a_socket_that_vanishes_is_made_again(tmp_path: Path) -> None:
    clock = SimulatedClock()
    progress = PublisherProgress(tmp_path, clock=clock)
    async with anyio.create_task_group() as tg:
        await tg.start(progress.run)
        early = await connected(progress)
        await shows(progress, 0)  # it has been accepted
        Path(progress.reporting_arguments(CAMERA)[-1].removeprefix("unix:")).unlink()
        await clock.advance(LOOK_S)
        await early.send(b"frame=7\n")
        await shows(progress, 7)
        late = await connected(progress)
        await late.send(b"frame=1\n")
        await shows(progress, 1)
        tg.cancel_scope.cancel()
    assert list(tmp_path.iterdir()) == []
    await early.aclose()
    await late.aclose()
