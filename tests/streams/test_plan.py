"""Which publishers are made to report, and where nothing is changed for it."""

import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
import pytest
from pydantic import ValidationError

from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, CaptureFailed, Unsupported
from agent_core.base.models import CameraStatus, FfmpegInput, FrameSocket, MediaInput, Url
from agent_core.config import MediaServerConfig, RecordingsConfig
from agent_core.mediamtx.redaction import without_addresses, without_credentials
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import Publisher
from agent_core.streams.plan import PathPlan, no_media_input, path_conf, recording_conf
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


def test_the_publisher_is_asked_for_the_cameras_own_input(tmp_path: Path) -> None:
    asked: list[MediaInput] = []

    def publisher(media_input: MediaInput) -> Publisher:
        asked.append(media_input)
        return Publisher(("ffmpeg", "$HOME"), "", reports_progress=False)

    settings = MediaServerConfig.model_validate({"publishers": "agent"})
    progress = PublisherProgress(tmp_path, clock=SystemClock())
    planned = PathPlan(publisher, progress=progress, settings=settings)
    planned.require_streamable(camera("camera0", SOCKET))
    assert asked == [SOCKET], "and the agent expands nothing, so that any word may be in the command"


async def test_another_program_is_told_nothing(progress: PublisherProgress) -> None:
    assert argv(plan(progress, reports=False), SOCKET) == ARGV


async def test_the_path_is_made_with_the_whole_command(progress: PublisherProgress) -> None:
    planned = plan(progress)
    conf = planned.conf(camera("camera0", SOCKET), PathConf(record=False), rtsp_url="rtsp://127.0.0.1:8554")
    assert conf.run_on_demand is not None
    assert tuple(shlex.split(conf.run_on_demand)[:-1]) == argv(planned, SOCKET)
    assert plan(progress).command(camera("camera0", Url("rtsp://203.0.113.7/stream"))) is None


@pytest.mark.parametrize(
    ("mode", "rtsp_url", "host"),
    [
        ("embedded", "rtsp://127.0.0.1:8554", "127.0.0.1"),
        ("embedded", "rtsp://[::1]:8554", "[::1]"),
        ("embedded", "rtsp://192.0.2.7:8554", "192.0.2.7"),
        ("external", "rtsp://192.0.2.7:8554", "127.0.0.1"),
    ],
)
async def test_a_program_that_the_server_runs_publishes_where_the_server_listens(
    progress: PublisherProgress, mode: str, rtsp_url: str, host: str
) -> None:
    settings = MediaServerConfig.model_validate({"mode": mode})
    planned = PathPlan(lambda _: Publisher(ARGV, ""), progress=progress, settings=settings)
    conf = planned.conf(camera("camera0", SOCKET), PathConf(record=False), rtsp_url=rtsp_url)
    assert conf.run_on_demand is not None
    assert shlex.split(conf.run_on_demand)[-1] == f"rtsp://{host}:$RTSP_PORT/$MTX_PATH"


async def test_a_folder_whose_name_the_server_would_expand_is_not_reported_to(tmp_path: Path) -> None:
    folder = tmp_path / "$HOME"
    folder.mkdir()
    progress = PublisherProgress(folder, clock=SystemClock())
    async with anyio.create_task_group() as tg:
        await tg.start(progress.run)
        assert argv(plan(progress), SOCKET) == ARGV
        tg.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (CameraStatus.CONNECTED, Unsupported, "no_media_input"),
        (CameraStatus.ERROR, CaptureFailed, "camera_failed"),
        (CameraStatus.DISCONNECTED, CaptureFailed, "camera_disconnected"),
    ],
)
def test_the_error_for_no_media_input_fits_the_camera(
    tmp_path: Path, status: CameraStatus, kind: type[AgentError], reason: str
) -> None:
    planned = plan(PublisherProgress(tmp_path, clock=SystemClock()))
    without = replace(camera("camera0", None), status=status, problem="Its lens fell off.")
    with pytest.raises(kind) as caught:
        planned.require_streamable(without)
    assert caught.value.reason == reason
    assert ("Its lens fell off." in caught.value.details) is (status is CameraStatus.ERROR)
    if isinstance(caught.value, Unsupported):
        assert caught.value.feature == "media_input"


@pytest.mark.parametrize("scheme", ["srt", "udp+mpegts", "rtsps"])
def test_the_embedded_server_refuses_a_scheme_that_mediamtx_takes(tmp_path: Path, scheme: str) -> None:
    source = camera("camera0", Url(f"{scheme}://192.0.2.1:5000/live"))
    progress = PublisherProgress(tmp_path, clock=SystemClock())
    with pytest.raises(Unsupported) as caught:
        plan(progress).require_streamable(source)
    assert caught.value.reason == "scheme_not_supported"
    assert f"{scheme}://" in caught.value.details
    assert "MediaMTX" in caught.value.suggestion
    settings = MediaServerConfig.model_validate({"mode": "managed", "program": "/usr/bin/mediamtx"})
    PathPlan(lambda _: None, progress=progress, settings=settings).require_streamable(source)
    plan(progress).require_streamable(camera("camera0", Url("rtsp://192.0.2.1/live")))


def test_a_camera_without_an_explanation_has_a_whole_sentence() -> None:
    failed = replace(camera("camera0", None), status=CameraStatus.ERROR, problem="")
    assert no_media_input(failed).details == "camera0 does not work now."


@pytest.mark.parametrize("argv", [None, ("ffmpeg", "$HOME/in")])
def test_without_a_program_that_the_server_can_run_there_is_no_publisher(
    tmp_path: Path, argv: tuple[str, ...] | None
) -> None:
    publisher = None if argv is None else Publisher(argv, "", reports_progress=False)
    planned = PathPlan(
        lambda _: publisher,
        progress=PublisherProgress(tmp_path, clock=SystemClock()),
        settings=MediaServerConfig(publishers="server"),
    )
    with pytest.raises(Unsupported) as caught:
        planned.require_streamable(camera("camera0", SOCKET))
    assert (caught.value.reason, caught.value.feature) == ("no_publisher", "publisher")


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("rtsp://u:it's@203.0.113.7/s", "rtsp://u:it%27s@203.0.113.7/s"),
        ('rtsp://u:a "b"@203.0.113.7/s', "rtsp://u:a%20%22b%22@203.0.113.7/s"),
        ("rtsp://u:p%40%2F@203.0.113.7/s?a=b&c=d#e", "rtsp://u:p%40%2F@203.0.113.7/s?a=b&c=d#e"),
    ],
)
def test_the_servers_texts_can_hide_the_password_in_an_address(url: str, source: str) -> None:
    """A quote or a space would end the address amid the password."""
    planned = path_conf(camera("camera0", Url(url)), None, recording=PathConf(), settings=MediaServerConfig())
    assert planned.source == source
    said = f"the source '{planned.source}' failed"
    assert without_credentials(said).startswith("the source 'rtsp://***@203.0.113.7/s")
    assert without_addresses(said) == "the source '<address>' failed"


def test_credentials_of_any_characters_fit_into_an_address() -> None:
    password = "p@ss/w:rd?#%&é'\" \u00a0"
    made = Url.with_credentials("rtsp://camera.local:8554/live?channel=1", "op@home", password)
    parts = urlsplit(made.url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("op@home", password)
    assert (parts.hostname, parts.port, parts.path, parts.query) == (
        "camera.local",
        8554,
        "/live",
        "channel=1",
    )
    assert made.has_credentials
    assert "p%40" not in repr(made)


def test_an_answer_that_cannot_be_read_is_not_quoted_with_its_password() -> None:
    with pytest.raises(ValidationError) as caught:
        PathConf.model_validate({"source": ["rtsp://u:s3cret@203.0.113.7/s"]})
    assert "s3cret" not in str(caught.value)


def test_each_mode_has_its_own_source() -> None:
    settings = MediaServerConfig.model_validate({"start_timeout_s": 7, "close_after_s": 3})
    recording = PathConf(record=True)
    publisher = Publisher(("ffmpeg", "-i", "in"), "", reports_progress=False)
    pulled = path_conf(
        camera("camera0", Url("rtsp://203.0.113.7/s")), None, recording=recording, settings=settings
    )
    assert pulled == PathConf(
        record=True,
        source="rtsp://203.0.113.7/s",
        source_on_demand=True,
        source_on_demand_start_timeout_s=7,
        source_on_demand_close_after_s=3,
    )
    run_by_server = settings.model_copy(update={"publishers": "server"})
    assert path_conf(
        camera("camera0", SOCKET), publisher, recording=recording, settings=run_by_server
    ) == PathConf(
        record=True,
        source="publisher",
        run_on_demand=shlex.join([*publisher.argv, "rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH"]),
        run_on_demand_restart=True,
        run_on_demand_start_timeout_s=7,
        run_on_demand_close_after_s=3,
    )
    run_by_agent = settings.model_copy(update={"publishers": "agent"})
    assert path_conf(
        camera("camera0", SOCKET), publisher, recording=recording, settings=run_by_agent
    ) == PathConf(record=True, source="publisher", run_on_demand="")


def test_a_recording_is_configured_whole() -> None:
    settings = RecordingsConfig(part_duration_s=2, segment_duration_s=600)
    assert recording_conf("fmp4", "/r/%path", settings) == PathConf(
        record=True,
        record_path="/r/%path",
        record_format="fmp4",
        record_part_duration_s=2,
        record_segment_duration_s=600,
        record_delete_after_s=0,
    )
