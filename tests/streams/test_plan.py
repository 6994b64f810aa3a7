"""Which publishers are made to report, and where nothing is changed for it."""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.models import FfmpegInput, FrameSocket, MediaInput, Url
from agent_core.config import MediaServerConfig
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import Publisher
from agent_core.streams.plan import PathPlan
from agent_core.streams.publishers.progress import PublisherProgress
from tests.media_plane import camera

SOCKET = FrameSocket(Path("/run/agent/virtual0.sock"), 320, 240, 15)
OTHER = FfmpegInput(("-i", "somewhere"))
ARGV = ("ffmpeg", "-i", "in", "-f", "rtsp")


@pytest.fixture
async def progress(tmp_path: Path) -> AsyncIterator[PublisherProgress]:
    progress = PublisherProgress(tmp_path, clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(progress.run)
        yield progress
        tg.cancel_scope.cancel()


def plan(progress: PublisherProgress, publishers: str = "server", *, reports: bool = True) -> PathPlan:
    settings = MediaServerConfig.model_validate({"publishers": publishers})
    return PathPlan(lambda _: Publisher(ARGV, "", reports), progress=progress, settings=settings)


def argv(planned: PathPlan, media_input: MediaInput) -> tuple[str, ...]:
    publisher = planned.command(camera("camera0", media_input))
    assert publisher is not None
    return publisher.argv


@pytest.mark.parametrize(
    ("publishers", "media_input"), [("server", SOCKET), ("agent", SOCKET), ("agent", OTHER)]
)
async def test_a_publisher_that_can_is_told_where_to_report(
    progress: PublisherProgress, tmp_path: Path, publishers: str, media_input: MediaInput
) -> None:
    at = f"unix:{tmp_path}/camera0.progress.sock"
    assert argv(plan(progress, publishers), media_input) == (*ARGV, "-stats_period", "2", "-progress", at)


async def test_what_the_server_runs_without_the_agent_must_not_need_it(progress: PublisherProgress) -> None:
    """FFmpeg ends where it cannot report."""
    assert argv(plan(progress), OTHER) == ARGV


async def test_another_program_is_told_nothing(progress: PublisherProgress) -> None:
    assert argv(plan(progress, reports=False), SOCKET) == ARGV


async def test_the_path_is_made_with_the_whole_command(progress: PublisherProgress) -> None:
    planned = plan(progress)
    conf = planned.conf(camera("camera0", SOCKET), PathConf(record=False))
    assert conf.run_on_demand is not None
    assert tuple(shlex.split(conf.run_on_demand)[:-1]) == argv(planned, SOCKET)
    assert plan(progress).command(camera("camera0", Url("rtsp://203.0.113.7/stream"))) is None


async def test_a_folder_whose_name_the_server_would_expand_is_not_reported_to(tmp_path: Path) -> None:
    folder = tmp_path / "$HOME"
    folder.mkdir()
    progress = PublisherProgress(folder, clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(progress.run)
        assert argv(plan(progress), SOCKET) == ARGV
        tg.cancel_scope.cancel()
