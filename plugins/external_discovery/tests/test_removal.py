"""Removing a stream that is in use ends its recording and its stream, and keeps its files, on each media server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_core.client import CallFailed
from agent_core.plugin import ffmpeg
from agent_core.testing.waiting import eventually
from tests.e2e.media import Rig, media_rig

from .network.cameras import running_camera
from .network.clips import Clips
from .network.lan import Network

Observe = Callable[[str], None]
PLUGINS: dict[str, Any] = {"external_discovery": {}, "rtsp_tier": {}}


async def added(rig: Rig, url: str, name: str) -> str:
    answer = await rig.call("add_external_stream", None, stream_url=url, stream_name=name)
    return str(answer["device"])


async def paths(rig: Rig) -> set[str]:
    return {each["name"] for each in await rig.call("get_streams", None)}


@pytest.mark.timeout(120)
async def test_a_stream_is_removed_while_it_records(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host, other = network.add_host("camera"), network.add_host("other")
    async with (
        running_camera(host, tmp_path / "camera", clips.h264()) as camera,
        running_camera(other, tmp_path / "other", clips.h264()) as neighbour,
        media_rig(server_kind, tmp_path, observe, plugins=PLUGINS) as rig,
    ):
        device = await added(rig, camera.url(), "Yard")
        stays = await added(rig, neighbour.url(), "Gate")
        goes_on = await rig.call("start_recording", stays, wait=True)
        recording = await rig.call("start_recording", device, wait=True)
        await rig.call("start_streaming", device)
        await rig.call("take_snapshot", device)
        await rig.call("remove_external_stream", None, stream_url=camera.url())

        async def is_gone() -> bool:
            return device not in await paths(rig)

        await eventually(is_gone, timeout_s=20, every_s=0.05)
        listed = (await rig.call("get_camera_list", None))["cameras"]
        assert device not in [each["device"] for each in listed]
        await _ended(rig, device, recording["filename"])
        for segment in rig.segments(recording):
            await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(segment), "-f", "null", "-"])
        for method in ("start_recording", "start_streaming", "take_snapshot"):
            with pytest.raises(CallFailed):
                await rig.call(method, device)
        again = await added(rig, camera.url(), "Yard")
        assert again == device
        await _ended(rig, device, recording["filename"])
        second = await rig.call("start_recording", device, wait=True)
        assert second["filename"] != recording["filename"]
        assert (await rig.call("stop_recording", stays))["filename"] == goes_on["filename"]


async def _ended(rig: Rig, device: str, filename: str) -> None:
    """The recording has ended because its camera was removed, and is listed with the snapshot."""

    async def has_ended() -> bool:
        info = await rig.call("get_recording_info", None, filename=filename)
        return bool(info["complete"])

    await eventually(has_ended, timeout_s=20, every_s=0.05)
    info = await rig.call("get_recording_info", None, filename=filename)
    assert (info["reason"], info["device"]) == ("camera_removed", device)
    listed = await rig.call("list_recordings", device)
    assert filename in [each["filename"] for each in listed["files"]]
    assert (await rig.call("list_snapshots", device))["total"] == 1
