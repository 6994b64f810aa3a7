"""Camera controls through the whole agent: in the picture, over replugs and restarts, for several clients."""

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from PIL import Image

from agent_core import plugin as api
from agent_core.client import AgentClient, CallFailed
from agent_core.plugin.controls import DevicePanel
from agent_core.testing import RunningAgent, running_agent
from tests.plugin.controls.webcam import Webcam

LIMIT_S = 60
#: Difference of a pixel's value that the JPEG's compression may make.
TOLERANCE = 4
#: A colour between the limits, so that no look clips it: luma about 113.
SHADE = (120, 100, 140)


@asynccontextmanager
async def virtual(
    folder: Path, observe: Callable[[str], None] | None = None
) -> AsyncIterator[tuple[RunningAgent, AgentClient]]:
    """Run an agent with one camera that shows one colour, below the marks."""
    Image.new("RGB", (320, 240), SHADE).save(folder / "shade.png")
    camera = {
        "name": "One",
        "id": "camera0",
        "width": 320,
        "height": 240,
        "file": str(folder / "shade.png"),
    }
    config = {
        "plugins": {
            "enabled": ["virtual_camera"],
            "virtual_camera": {"faults": True, "cameras": [camera]},
        }
    }
    with anyio.fail_after(LIMIT_S):
        async with (
            running_agent(config=config, folder=folder, observe=observe) as agent,
            agent.client("admin") as client,
        ):
            yield agent, client


async def look(client: AgentClient) -> tuple[int, int, int]:
    """Return luma and both chromas of a picture taken after the call."""
    taken = await client.call("take_snapshot", device="camera0", max_age_ms=0, deadline_ms=30_000)
    with Image.open(taken["file_path"]) as picture:
        pixel = picture.convert("YCbCr").getpixel((160, 120))
    assert isinstance(pixel, tuple)
    luma, blue, red = pixel
    return int(luma), int(blue), int(red)


async def put(client: AgentClient, **controls: Any) -> dict[str, str]:
    done = await client.call("set_camera_controls", device="camera0", controls=controls)
    return {name: each["status"] for name, each in done["controls"].items()}


async def vanish(client: AgentClient, *, enabled: bool) -> None:
    await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=enabled)


def near(value: float) -> Any:
    return pytest.approx(value, abs=TOLERANCE)


async def test_each_control_shows_in_the_next_picture(tmp_path: Path, observe: Callable[[str], None]) -> None:
    async with virtual(tmp_path, observe) as (_, client):
        luma, blue, red = await look(client)
        assert (luma, blue, red) != (near(128), near(128), near(128))
        assert await put(client, brightness=40) == {"brightness": "APPLIED"}
        assert await look(client) == (near(luma + 40), near(blue), near(red))
        await put(client, brightness=0, contrast=64)
        assert await look(client) == (near(2 * (luma - 128) + 128), near(blue), near(red))
        await put(client, contrast=32, saturation=0)
        assert await look(client) == (near(luma), near(128), near(128))
        await put(client, saturation=32, auto_exposure="Manual Mode", exposure_time_absolute=125)
        assert await look(client) == (near(luma / 2), near(blue), near(red))
        await client.call("set_camera_controls", device="camera0", reset=True)
        assert await look(client) == (near(luma), near(blue), near(red))


async def test_values_survive_a_replug_and_a_restart_and_are_in_the_first_picture(tmp_path: Path) -> None:
    async with virtual(tmp_path) as (_, client):
        plain, *_ = await look(client)
        await put(client, exposure_time_absolute=100, auto_exposure=1)
        async with client.subscribe(["camera.controls"]) as events:
            await vanish(client, enabled=True)
            await vanish(client, enabled=False)
            event = (await anext(events)).params
        assert (event["device"], event["cause"]) == ("camera0", "kept")
        assert {name: each["status"] for name, each in event["controls"].items()} == {
            "auto_exposure": "APPLIED",
            "exposure_time_absolute": "APPLIED",
        }
        assert (await look(client))[0] == near(0.4 * plain)
    async with virtual(tmp_path) as (agent, client):
        frames = agent.parts.cameras.get("camera0").frames
        assert frames is not None
        first = await frames.fresh(0.0)  # or one of the first, of which several may come at once
        with Image.open(io.BytesIO(first.data)) as picture:
            assert picture.convert("L").getpixel((160, 120)) == near(0.4 * plain)
        await client.call("set_camera_controls", device="camera0", reset=True)
    async with virtual(tmp_path) as (_, client):
        assert (await look(client))[0] == near(plain)
        assert "kept" not in (await capability(client, "auto_exposure"))


async def capability(client: AgentClient, name: str) -> dict[str, Any]:
    offered = await client.call("get_camera_capabilities", device="camera0")
    return next(dict(each) for each in offered["controls"] if each["name"] == name)


async def test_capabilities_show_value_flags_and_what_is_kept(tmp_path: Path) -> None:
    async with virtual(tmp_path) as (_, client):
        before = await capability(client, "exposure_time_absolute")
        assert (before["value"], before["flags"], before["settable"]) == (250, ["inactive"], True)
        assert "kept" not in before
        await put(client, exposure_time_absolute=99, auto_exposure="manual mode")
        after = await capability(client, "exposure_time_absolute")
        assert (after["value"], after["flags"], after["kept"]) == (99, [], 99)
        assert (await capability(client, "auto_exposure"))["kept"] == "Manual Mode"
        await vanish(client, enabled=True)
        assert (await capability(client, "exposure_time_absolute"))["kept"] == 99


async def test_one_wrong_control_does_not_fail_the_others(tmp_path: Path) -> None:
    async with virtual(tmp_path) as (_, client):
        values = {"brigtness": 1, "contrast": 1000, "brightness": "high", "saturation": 3.0}
        done = await client.call("set_camera_controls", device="camera0", controls=values)
        assert [*done["controls"]] == [*values]
        outcomes = done["controls"]
        assert {name: each["status"] for name, each in outcomes.items()} == {
            "brigtness": "REFUSED",
            "contrast": "ADJUSTED",
            "brightness": "REFUSED",
            "saturation": "APPLIED",
        }
        assert "value" not in outcomes["brigtness"]
        assert "the nearest are brightness" in outcomes["brigtness"]["reason"]
        assert (outcomes["contrast"]["value"], outcomes["contrast"]["requested"]) == (64, 1000)
        assert outcomes["brightness"]["value"] == 0


async def test_a_number_beyond_floating_point_is_adjusted_and_a_stored_one_harms_nothing(
    tmp_path: Path,
) -> None:
    large = 10**400
    async with virtual(tmp_path) as (_, client):
        assert await put(client, brightness=large) == {"brightness": "ADJUSTED"}
        assert (await capability(client, "brightness"))["kept"] == 64
        file = tmp_path / "state/camera-controls.json"
    file.write_text(json.dumps({"version": 1, "cameras": {"camera0": {"brightness": large, "contrast": 7}}}))
    async with virtual(tmp_path) as (_, client):
        while (await capability(client, "contrast"))["value"] != 7:
            await anyio.sleep(0.01)
        assert (await capability(client, "brightness"))["value"] == 64


async def test_a_file_of_later_values_is_one_problem(tmp_path: Path) -> None:
    async with virtual(tmp_path):
        file = tmp_path / "state/camera-controls.json"
    file.write_text('{"version": 2}')
    async with virtual(tmp_path) as (_, client):
        done = await client.call("set_camera_controls", device="camera0", controls={"brightness": 3})
        assert done["stored"] is False
        problems = (await client.call("get_system_status"))["problems"]
    assert [each["reason"] for each in problems] == ["camera_controls_later_version"]
    assert file.read_text() == '{"version": 2}'


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -32602),
        ({"controls": {}}, -32602),
        ({"controls": {"": 1}}, -32602),
        ({"controls": {"x" * 101: 1}}, -32602),
        ({"controls": {"brightness": None}}, -32602),
        ({"controls": {"brightness": [1]}}, -32602),
        ({"controls": {"brightness": "x" * 201}}, -32602),
        ({"controls": {f"c{number}": 1 for number in range(257)}}, -32602),
        ({"controls": [1]}, -32602),
        ({"controls": {"brightness": 1}, "reset": "yes"}, -32602),
        ({"device": "camera7", "controls": {"brightness": 1}}, -32010),
    ],
)
async def test_wrong_params_are_said(tmp_path: Path, params: dict[str, Any], code: int) -> None:
    async with virtual(tmp_path) as (_, client):
        with pytest.raises(CallFailed) as caught:
            await client.call("set_camera_controls", **{"device": "camera0", **params})
        assert caught.value.code == code


async def test_a_camera_that_is_away_cannot_be_set(tmp_path: Path) -> None:
    async with virtual(tmp_path) as (_, client):
        await vanish(client, enabled=True)
        with pytest.raises(CallFailed) as caught:
            await put(client, brightness=1)
        assert (caught.value.code, caught.value.reason) == (-32020, "not_connected")


async def test_two_clients_at_once_agree_with_the_camera_in_the_end(tmp_path: Path) -> None:
    async with virtual(tmp_path) as (agent, client), agent.client("operator") as other:
        async with client.subscribe(["camera.controls"]) as events, anyio.create_task_group() as tg:
            for value in range(1, 11):
                tg.start_soon(partial(put, client if value % 2 else other, brightness=value, contrast=value))
            told = [(await anext(events)).params["controls"] for _ in range(10)]
        assert {each["brightness"]["value"] for each in told} == {*range(1, 11)}
        for name in ("brightness", "contrast"):
            assert (await capability(client, name))["value"] == told[-1][name]["value"]


class Lab(api.Plugin[api.Settings]):
    """Source of one camera with the controls of a simulated webcam, which a test unplugs, mutes and so on."""

    def __init__(self, camera: Webcam) -> None:
        super().__init__(api.Settings())
        self.camera = camera
        self.report: api.CameraReport | None = None

    @api.hookimpl
    def agent_camera_sources(self, agent: api.AgentContext) -> list[api.CameraSource]:
        return [LabSource(self)]

    def connect(self) -> DevicePanel:
        """Connect the camera as it is now; return its panel."""
        assert self.report is not None
        report = self.report
        panel = DevicePanel(self.camera.controls, self.camera.opened, report=partial(report.controls, "k"))
        report.connected(
            api.DetectedCamera(
                "k",
                "Lab",
                api.Fingerprint("lab", "S"),
                None,
                number_hint=0,
                controls=self.camera.controls,
                panel=panel,
            )
        )
        return panel


class LabSource(api.CameraSource):
    name = "lab"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    async def watch(self, report: api.CameraReport, *, task_status: api.Started = api.NOT_ASKED) -> None:
        self._lab.report = report
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._lab.connect().run)
            task_status.started()
            await anyio.sleep_forever()


@asynccontextmanager
async def lab(camera: Webcam) -> AsyncIterator[tuple[Lab, AgentClient]]:
    made: list[Lab] = []

    class Plugin(Lab):
        def __init__(self, _settings: api.Settings) -> None:
            super().__init__(camera)
            made.append(self)

    with anyio.fail_after(LIMIT_S):
        async with running_agent(plugins={"lab": Plugin}) as agent, agent.client("operator") as client:
            yield made[0], client


async def test_what_a_camera_cannot_set_is_listed_with_the_reason(tmp_path: Path) -> None:
    async with lab(Webcam()) as (_, client):
        model = await capability(client, "model")
        assert (model["settable"], model["kind"]) == (False, "string")
        assert "text" in model["reason"]
        assert (await capability(client, "sensor_temperature"))["flags"] == ["read_only"]
        assert (await capability(client, "counter"))["maximum"] == 2**63 - 1
        done = await client.call("set_camera_controls", device="camera0", controls={"counter": 2**53 + 1})
        assert done["controls"]["counter"]["value"] == 2**53 + 1


async def test_refused_silent_and_vanishing_controls_each_have_their_answer() -> None:
    camera = Webcam(refuses={"gain": "control_refused"})
    async with lab(camera) as (_, client):
        assert await put(client, gain=1, brightness=5) == {"gain": "REFUSED", "brightness": "APPLIED"}
        camera.mute.add("power_line_frequency")
        silent = await put(client, power_line_frequency=1)
        assert silent == {"power_line_frequency": "REFUSED"}
        camera.before_write = lambda _: camera.unplug()
        with pytest.raises(CallFailed) as caught:
            await put(client, brightness=6)
        assert (caught.value.code, caught.value.reason) == (-32050, "camera_gone")
        assert (await capability(client, "brightness"))["kept"] == 5


async def test_a_kept_value_out_of_the_range_after_a_replug_is_adjusted_and_said() -> None:
    camera = Webcam()
    async with lab(camera) as (made, client), client.subscribe(["camera.controls"]) as events:
        await put(client, brightness=200)
        assert (await anext(events)).params["cause"] == "set"
        assert made.report is not None
        made.report.disconnected("k", "Unplugged.")
        camera.ranges["brightness"] = (0, 100)
        async with anyio.create_task_group() as tg:
            tg.start_soon(made.connect().run)
            event = (await anext(events)).params
            tg.cancel_scope.cancel()
        assert event["cause"] == "kept"
        assert event["controls"] == {
            "brightness": {
                "value": 100,
                "requested": 200,
                "status": "ADJUSTED",
                "reason": "200 is out of range (0 to 100); 100 was set.",
            }
        }
        assert (await capability(client, "brightness"))["value"] == 100
        assert (await capability(client, "brightness"))["kept"] == 200
