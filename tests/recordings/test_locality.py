"""Recordings on this host and elsewhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent_core.base.errors import NotFound, Unsupported
from agent_core.base.models import CameraId
from agent_core.client import CallFailed
from agent_core.config.sections import MediaServerConfig
from agent_core.recordings.locality import RecordingPlace
from agent_core.recordings.models import RecordingFormat
from agent_core.recordings.store import RecordingStore
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest

#: Of a network that is only for documents (RFC 5737).
ELSEWHERE = "http://203.0.113.7:9997"


def is_local(mode: str = "external", **settings: Any) -> bool:
    return RecordingPlace(MediaServerConfig.model_validate({"mode": mode, **settings})).is_local()


@pytest.mark.parametrize(
    "api_url",
    [
        "http://127.0.0.1:9997",
        "http://localhost:9997",
        "http://127.3.2.1:9997",
        "unix:///run/mediamtx.sock",
        "http://0.0.0.0:9997",
        "http://user:word@127.0.0.1:9997/behind/a/proxy",
    ],
)
def test_an_address_of_this_host_is_local(api_url: str) -> None:
    assert is_local(api_url=api_url)


@pytest.mark.parametrize("api_url", [ELSEWHERE, "https://203.0.113.7", "http://[2001:db8::7]:9997"])
def test_any_other_is_not(api_url: str) -> None:
    assert not is_local(api_url=api_url)


def test_a_name_that_leads_nowhere_is_not_the_error_to_show() -> None:
    assert is_local(api_url="http://nowhere.invalid:9997")


def test_what_is_declared_counts() -> None:
    assert is_local(api_url=ELSEWHERE, shares_recordings=True)
    assert not is_local(api_url="http://127.0.0.1:9997", shares_recordings=False)


@pytest.mark.parametrize("mode", ["managed", "embedded"])
def test_a_server_of_the_agent_is_local(mode: str) -> None:
    assert is_local(mode, api_url=ELSEWHERE)


async def test_what_is_not_here_is_refused_and_what_is_here_stays(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    note = RecordingStore(tmp_path).create(CameraId("camera0"), RecordingFormat.FMP4, now)
    store = RecordingStore(tmp_path, is_local=lambda: False)
    with pytest.raises(Unsupported):
        store.create(CameraId("camera1"), RecordingFormat.FMP4, now)
    assert [each.name for each in tmp_path.glob("[!.]*")] == ["camera0"]
    assert (await store.find(note.id)).note == note
    assert [each.note for each in await store.all()] == [note]
    with pytest.raises(Unsupported):
        await store.find(note.id.replace("camera0", "camera1"))
    with pytest.raises(NotFound):
        await store.find("no recording's name")


def config(folder: Path, **media_server: Any) -> dict[str, Any]:
    cameras = [{"name": "Test", "id": "camera0", "width": 320, "height": 240}]
    return {
        "plugins": {"enabled": ["virtual_camera", "ffmpeg_tier"], "virtual_camera": {"cameras": cameras}},
        "storage": {"recordings_dir": folder / "recordings"},
        "media_server": {"mode": "external", **media_server},
    }


async def test_recording_with_a_server_elsewhere_is_refused_before_it_is_asked(
    tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with running_agent(config=config(tmp_path, api_url=ELSEWHERE), observe=observe) as agent:
        async with agent.client() as client:
            for method, params in (
                ("start_recording", {"device": "camera0"}),
                ("get_recording_info", {"filename": "camera0_2026-11-22_17-03-54Z"}),
            ):
                with pytest.raises(CallFailed) as caught:
                    await client.call(method, **params)
                assert (caught.value.code, caught.value.reason) == (-32030, "recordings_not_local")
                assert caught.value.data["feature"] == "recordings_not_local"
                assert caught.value.suggestion
            assert (await client.call("list_recordings"))["files"] == []
            assert not list((tmp_path / "recordings").glob("*"))


async def test_a_server_here_that_has_another_disk_streams_and_does_not_record(
    media_server: MediaServerUnderTest, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    at = {"api_url": media_server.api_url, "rtsp_url": media_server.rtsp_url, "shares_recordings": False}
    async with running_agent(config=config(tmp_path, **at), observe=observe) as agent:
        async with agent.client() as client:
            assert (await client.call("start_streaming", device="camera0"))["status"] == "STARTED"
            with pytest.raises(CallFailed) as caught:
                await client.call("start_recording", device="camera0")
            assert caught.value.reason == "recordings_not_local"
