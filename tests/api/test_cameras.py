import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from agent_core.api.cameras import CameraListText, camera_form
from agent_core.api.schema.cameras import CameraList, StreamUrls
from agent_core.base.models import Camera, CameraId, CameraMode, CameraStatus, DetectedCamera, Fingerprint
from agent_core.controller import CameraView
from agent_core.plugin.abc import RpcParams
from agent_core.rpc.table import Caller, Method, SerializedResult
from agent_core.streams.models import MediaAddresses
from agent_core.testing import running_agent

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class CountingAddresses(MediaAddresses):
    """Knows for which cameras a form was made: each form has one playlist."""

    made: list[CameraId] = field(compare=False)

    def hls_url(self, camera: CameraId) -> str:
        self.made.append(camera)
        return super().hls_url(camera)


def camera(number: int) -> Camera:
    modes = (CameraMode("MJPEG", 1280, 720, (30.0,)),)
    detected = DetectedCamera(
        str(number), f'The "best" {number}', Fingerprint("test", str(number)), None, modes=modes
    )
    return Camera(CameraId(f"camera{number}"), CameraStatus.CONNECTED, 5.0, detected)


MEDIA = MediaAddresses(host="127.0.0.1", rtsp_port=8554, hls_port=8888, webrtc_port=8889, served=())


def views(cameras: list[Camera]) -> list[CameraView]:
    """New views each time: equal values that are not the same, as the controller makes them."""
    return [CameraView(replace(each), replace(MEDIA), is_recording=False) for each in cameras]


def expected(cameras: list[CameraView], now: datetime) -> object:
    listed = CameraList(
        cameras=[camera_form(each) for each in cameras],
        total=len(cameras),
        connected=sum(each.camera.status is CameraStatus.CONNECTED for each in cameras),
        timestamp=now,
    )
    return json.loads(listed.model_dump_json(by_alias=True, exclude_none=True))


@pytest.mark.parametrize("count", [0, 1, 8])
def test_the_text_is_the_models(count: int) -> None:
    cameras = views([camera(number) for number in range(count)])
    prepared = CameraListText().at(NOW, cameras)
    assert prepared.model is CameraList
    assert json.loads(prepared.text) == expected(cameras, NOW)


def test_only_the_time_is_made_anew() -> None:
    text, made = CameraListText(), list[CameraId]()
    media = CountingAddresses(host="h", rtsp_port=8554, hls_port=8888, webrtc_port=8889, served=(), made=made)
    for seconds in range(10):
        now = NOW + timedelta(seconds=seconds)
        cameras = [CameraView(camera(number), replace(media), is_recording=False) for number in range(2)]
        reply = json.loads(text.at(now, cameras).text)
        assert reply["timestamp"] == f"2026-11-22T12:00:0{seconds}.000Z"
    assert made == ["camera0", "camera1"]


CHANGES: list[Callable[[list[Camera]], list[Camera]]] = [
    lambda cameras: [replace(cameras[0], status=CameraStatus.DISCONNECTED), cameras[1]],
    lambda cameras: [cameras[0], replace(cameras[1], problem="It is unplugged.")],
    lambda cameras: [cameras[0], replace(cameras[1], ambiguous=True)],
    lambda cameras: [replace(cameras[0], detected=replace(cameras[0].detected, name="New")), cameras[1]],
    lambda cameras: [replace(cameras[0], detected=replace(cameras[0].detected, modes=())), cameras[1]],
    lambda cameras: [*cameras, camera(2)],
    lambda cameras: cameras[:1],
    lambda cameras: [],
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_once(change: Callable[[list[Camera]], list[Camera]]) -> None:
    text = CameraListText()
    cameras = [camera(0), camera(1)]
    before, after = views(cameras), views(change(cameras))
    first = text.at(NOW, before).text
    assert json.loads(text.at(NOW, after).text) == expected(after, NOW) != json.loads(first)
    assert text.at(NOW, before).text == first


async def test_a_camera_that_goes_is_gone_in_the_next_list() -> None:
    config = {
        "plugins": {
            "enabled": ["virtual_camera"],
            "virtual_camera": {"faults": True, "cameras": [{"name": "One"}, {"name": "Two"}]},
        }
    }
    async with running_agent(config=config) as agent, agent.client("admin") as client:
        first = await client.call("get_camera_list")
        assert first["connected"] == 2
        device = first["cameras"][0]["device"]
        for gone, status, connected in ((True, "DISCONNECTED", 1), (False, "CONNECTED", 2)):
            async with client.subscribe(["camera_status_update"]) as events:
                await client.call("virtual_camera.set_fault", device=device, fault="vanish", enabled=gone)
                assert (await anext(events)).params["status"] == status
            listed = await client.call("get_camera_list")
            assert (listed["cameras"][0]["status"], listed["connected"]) == (status, connected)
            assert listed["cameras"][1] == first["cameras"][1]


async def test_what_was_prepared_as_something_else_is_a_bug() -> None:
    async def answer(_params: RpcParams, _caller: Caller) -> object:
        return SerializedResult(StreamUrls, "{}")

    wrong = Method("wrong", None, "Wrong.", RpcParams, CameraList, answer)
    right = Method("right", None, "Right.", RpcParams, StreamUrls, answer)
    nobody = Caller(None, None, "")  # type: ignore[arg-type]
    assert await right.call({}, nobody) == "{}"
    with pytest.raises(TypeError, match="StreamUrls"):
        await wrong.call({}, nobody)


def test_what_is_true_of_streams_and_recordings_is_seen_at_once() -> None:
    listed = CameraListText()

    def shown(view: CameraView) -> dict[str, object]:
        (entry,) = json.loads(listed.at(NOW, [view]).text)["cameras"]
        return dict(entry)

    (view,) = views([camera(0)])
    assert shown(view)["is_recording"] is False
    view = replace(view, is_recording=True)
    assert shown(view)["is_recording"] is True
    entry = shown(replace(view, media=replace(MEDIA, rtsp_port=9554, served=("rtsp",))))
    assert (entry["stream_url"], entry["served"]) == ("rtsp://127.0.0.1:9554/camera0", ["rtsp"])
