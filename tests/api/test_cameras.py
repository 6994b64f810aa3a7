import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent_core.api.cameras import CameraListText
from agent_core.api.schema.cameras import CameraForm, CameraList, StreamUrls
from agent_core.api.views import Forms
from agent_core.base.models import Camera, CameraId, CameraMode, CameraStatus, DetectedCamera, Fingerprint
from agent_core.config import MediaServerConfig
from agent_core.plugin.abc import RpcParams
from agent_core.rpc.table import Caller, Method, Prepared
from agent_core.testing import SimulatedClock, running_agent
from agent_core.testing.media import StaticMedia

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class CountingForms(Forms):
    """Knows for how many cameras a form was made."""

    made: list[CameraId]

    def camera(self, camera: Camera) -> CameraForm:
        self.made.append(camera.id)
        return super().camera(camera)


def camera(number: int) -> Camera:
    modes = (CameraMode("MJPEG", 1280, 720, (30.0,)),)
    detected = DetectedCamera(
        str(number), f'The "best" {number}', Fingerprint("test", str(number)), None, modes=modes
    )
    return Camera(CameraId(f"camera{number}"), CameraStatus.CONNECTED, 5.0, detected)


@pytest.fixture
def forms() -> CountingForms:
    made = CountingForms(
        MediaServerConfig(), StaticMedia(), SimulatedClock(), lambda kind, name: f"/files/{kind}/{name}"
    )
    object.__setattr__(made, "made", [])
    return made


def expected(forms: Forms, cameras: list[Camera], now: datetime) -> object:
    listed = CameraList(
        cameras=[forms.camera(each) for each in cameras],
        total=len(cameras),
        connected=sum(each.status is CameraStatus.CONNECTED for each in cameras),
        timestamp=now,
    )
    return json.loads(listed.model_dump_json(by_alias=True, exclude_none=True))


@pytest.mark.parametrize("count", [0, 1, 8])
def test_the_text_is_the_models(forms: CountingForms, count: int) -> None:
    cameras = [camera(number) for number in range(count)]
    prepared = CameraListText(forms).at(NOW, cameras)
    assert prepared.model is CameraList
    assert json.loads(prepared.text) == expected(forms, cameras, NOW)


def test_only_the_time_is_made_anew(forms: CountingForms) -> None:
    text = CameraListText(forms)
    cameras = [camera(0), camera(1)]
    for seconds in range(10):
        now = NOW + timedelta(seconds=seconds)
        # Values that are equal but not the same are what a source's second report makes.
        reply = json.loads(text.at(now, [replace(each) for each in cameras]).text)
        assert reply["timestamp"] == f"2026-11-22T12:00:0{seconds}.000Z"
    assert forms.made == ["camera0", "camera1"]


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
def test_a_change_is_seen_at_once(
    forms: CountingForms, change: Callable[[list[Camera]], list[Camera]]
) -> None:
    text = CameraListText(forms)
    before = [camera(0), camera(1)]
    after = change(before)
    first = text.at(NOW, before).text
    assert json.loads(text.at(NOW, after).text) == expected(forms, after, NOW) != json.loads(first)
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
        return Prepared(StreamUrls, "{}")

    wrong = Method("wrong", None, "Wrong.", RpcParams, CameraList, answer)
    right = Method("right", None, "Right.", RpcParams, StreamUrls, answer)
    nobody = Caller(None, None, "")  # type: ignore[arg-type]
    assert await right.call({}, nobody) == "{}"
    with pytest.raises(TypeError, match="StreamUrls"):
        await wrong.call({}, nobody)


def test_what_is_true_of_streams_and_recordings_is_seen_at_once() -> None:
    media = StaticMedia()
    forms = Forms(MediaServerConfig(), media, SimulatedClock(), lambda kind, name: f"/files/{kind}/{name}")
    listed, cameras = CameraListText(forms), [camera(0)]

    def shown() -> dict[str, object]:
        (entry,) = json.loads(listed.at(NOW, cameras).text)["cameras"]
        return dict(entry)

    assert shown()["is_recording"] is False
    media.recording.add(CameraId("camera0"))
    assert shown()["is_recording"] is True
    media.rtsp_port, media.served = 9554, ("rtsp",)
    assert (shown()["stream_url"], shown()["served"]) == ("rtsp://127.0.0.1:9554/camera0", ["rtsp"])
