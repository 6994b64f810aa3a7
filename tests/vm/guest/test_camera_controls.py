"""`set_camera_controls` through the whole agent, with simulated webcams behind `uvcvideo` and with `vivid`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam, Webcam
from tests.vm.guest.captured import other_program
from tests.vm.guest.vivid import LoadVivid

#: Time limit of any test on an emulated processor on a busy host.
LIMIT_S = 240
SIZES = (FrameSize(320, 240, (5,)),)
LAYOUT = Layout(serial="CAM-1", mjpeg=SIZES, yuyv=())
CONFIG = {"plugins": {"enabled": ["v4l2_tier"]}}

pytestmark = pytest.mark.timeout(300)


class Client:
    """Client of an agent with one camera."""

    def __init__(self, client: AgentClient) -> None:
        self.client = client

    async def call(self, method: str, **params: Any) -> Any:
        return await self.client.call(method, device="camera0", **params)

    async def connected(self) -> None:
        while True:
            cameras: list[dict[str, Any]] = (await self.client.call("get_camera_list"))["cameras"]
            if cameras and cameras[0]["status"] == "CONNECTED":
                return
            await anyio.sleep(0.1)

    async def put(self, **controls: Any) -> dict[str, dict[str, Any]]:
        done = await self.call("set_camera_controls", controls=controls)
        assert done["stored"] is True
        return dict(done["controls"])

    async def reset(self) -> dict[str, dict[str, Any]]:
        return dict((await self.call("set_camera_controls", reset=True))["controls"])

    async def control(self, name: str) -> dict[str, Any]:
        offered = (await self.call("get_camera_capabilities"))["controls"]
        return next(dict(each) for each in offered if each["name"] == name)

    async def picture(self) -> str:
        taken = await self.call("take_snapshot", max_age_ms=0, deadline_ms=30_000)
        return str(taken["tier_name"])


@asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Client]:
    with anyio.fail_after(LIMIT_S):
        async with (
            running_agent(config=CONFIG, folder=folder) as running,
            running.client("operator") as client,
        ):
            yield Client(client)


def statuses(outcomes: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each["status"] for name, each in outcomes.items()}


async def printed(node: Path, name: str) -> str:
    argv = ["v4l2-ctl", "-d", str(node), "--get-ctrl", name]
    return (await anyio.run_process(argv)).stdout.decode().strip()


async def written(camera: Webcam) -> list[str]:
    return [name for name, _ in await camera.control_history() if name != "power_line_frequency"]


async def test_values_reach_the_camera_in_order_and_come_back_after_a_replug(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    async with webcam(LAYOUT) as camera, agent(tmp_path) as client:
        await client.connected()
        outcomes = await client.put(
            exposure_time_absolute=333,
            brightness=1000,
            auto_exposure="Manual Mode",
            white_balance_temperature=5000,
            brigtness=1,
        )
        assert statuses(outcomes) == {
            "exposure_time_absolute": "APPLIED",
            "brightness": "ADJUSTED",
            "auto_exposure": "APPLIED",
            "white_balance_temperature": "REFUSED",
            "brigtness": "REFUSED",
        }
        assert "out of range (-64 to 64)" in outcomes["brightness"]["reason"]
        assert "inactive" in outcomes["white_balance_temperature"]["reason"]
        assert await printed(camera.node, "exposure_time_absolute") == "exposure_time_absolute: 333"
        order = await written(camera)
        assert order.index("auto_exposure") < order.index("exposure_time")
        assert (await client.control("white_balance_temperature"))["flags"] == ["inactive"]
        async with client.client.subscribe(["camera.controls"]) as events:
            await camera.unplug()
            await camera.plug(port=3)
            event = (await anext(events)).params
        assert event["cause"] == "kept"
        assert set(statuses(event["controls"]).values()) == {"APPLIED"}
        # Nobody has asked for a picture yet.
        assert await camera.sent() == []
        values = await camera.controls()
        assert (values["exposure_time"], values["brightness"]) == (333, 64)


async def test_values_are_there_at_the_first_picture_after_a_restart_until_a_reset(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    async with webcam(LAYOUT) as camera:
        async with agent(tmp_path) as client:
            await client.connected()
            await client.put(exposure_time_absolute=333, auto_exposure=1)
        await camera.unplug()
        await camera.plug(port=3)
        assert (await camera.controls())["exposure_time"] == 250
        async with agent(tmp_path) as client:
            await client.connected()
            assert await client.picture() == "frames"
            assert (await camera.controls())["exposure_time"] == 333
            outcomes = await client.reset()
            assert outcomes["auto_exposure"]["status"] == "APPLIED"
            values = await camera.controls()
            assert (values["exposure_time"], values["auto_exposure"]) == (250, 8)
            assert "kept" not in await client.control("auto_exposure")


async def test_controls_are_set_while_another_program_streams(webcam: PlugWebcam, tmp_path: Path) -> None:
    """V4L2 lets several programs set controls, unless one claims the highest priority."""
    async with webcam(LAYOUT) as camera, agent(tmp_path) as client:
        await client.connected()
        async with other_program(camera.node):
            assert statuses(await client.put(brightness=10)) == {"brightness": "APPLIED"}
            assert (await camera.controls())["brightness"] == 10


async def test_a_camera_with_a_silent_control_is_used_without_it(webcam: PlugWebcam, tmp_path: Path) -> None:
    """The driver waits 5 s for each answer."""
    layout = Layout(serial="CAM-1", mjpeg=SIZES, yuyv=(), mute=("gain",))
    async with webcam(layout) as camera, agent(tmp_path) as client:
        await client.connected()
        assert (await client.control("gain"))["flags"] == ["unreadable"]
        assert (await client.control("white_balance_automatic"))["value"] == 1
        outcomes = await client.put(brightness=12, gain=5)
        assert outcomes["gain"]["status"] == "REFUSED"
        assert "did not answer" in outcomes["gain"]["reason"]
        assert statuses(await client.put(brightness=12)) == {"brightness": "APPLIED"}
        assert await client.picture() == "frames"
        assert (await camera.controls())["brightness"] == 12


async def test_a_control_without_a_description_hides_no_other(webcam: PlugWebcam, tmp_path: Path) -> None:
    layout = Layout(serial="CAM-1", mjpeg=SIZES, yuyv=(), undescribed=("contrast",))
    async with webcam(layout) as camera, agent(tmp_path) as client:
        await client.connected()
        contrast = await client.control("contrast")
        assert contrast["settable"] is False
        assert "does not describe it" in contrast["reason"]
        outcomes = await client.put(contrast=1, gain=40, auto_exposure=1, exposure_time_absolute=99)
        assert statuses(outcomes) == {
            "contrast": "REFUSED",
            "gain": "APPLIED",
            "auto_exposure": "APPLIED",
            "exposure_time_absolute": "APPLIED",
        }
        assert (await camera.controls())["gain"] == 40


async def test_a_kept_value_beyond_another_cameras_range_is_adjusted_and_said(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    narrow = Layout(serial="CAM-1", mjpeg=SIZES, yuyv=(), ranges=(("brightness", -5, 5),))
    async with agent(tmp_path) as client:
        async with webcam(LAYOUT):
            await client.connected()
            await client.put(brightness=40)
        async with client.client.subscribe(["camera.controls"]) as events, webcam(narrow) as camera:
            event = (await anext(events)).params
            assert event["controls"]["brightness"] == {
                "value": 5,
                "requested": 40,
                "status": "ADJUSTED",
                "reason": "40 is out of range (-5 to 5); 5 was set.",
            }
            assert (await camera.controls())["brightness"] == 5
            assert (await client.control("brightness"))["kept"] == 40


async def test_a_camera_unplugged_in_the_middle_of_a_call_ends_it(webcam: PlugWebcam, tmp_path: Path) -> None:
    async with webcam(LAYOUT) as camera, agent(tmp_path) as client:
        await client.connected()
        await camera.set_fault("hang")
        reasons: list[str] = []

        async def put() -> None:
            with pytest.raises(CallFailed) as caught:
                await client.put(white_balance_automatic=False, brightness=3, gain=3)
            reasons.append(caught.value.reason)

        async with anyio.create_task_group() as tg:
            tg.start_soon(put)
            await anyio.sleep(1)
            await camera.unplug()
        assert reasons == ["camera_gone"]


async def test_controls_of_all_kinds(vivid: LoadVivid, tmp_path: Path) -> None:
    async with vivid(1) as (camera,), agent(tmp_path) as client:
        await client.connected()
        offered = (await client.call("get_camera_capabilities"))["controls"]
        compound = {each["kind"]: each["name"] for each in offered if not each["settable"]}
        assert set(compound) == {"string", "compound"}
        assert all(each["settable"] or each["reason"] for each in offered)
        outcomes = await client.put(
            integer_64_bits=(1 << 40) + 1,
            bitmask=0x80002000,
            boolean=False,
            menu="Menu Item 3",
            integer_menu=2,
            brightness=77.0,
            button=1,
            **dict.fromkeys(compound.values(), 1),
        )
        refused = {name for name, status in statuses(outcomes).items() if status == "REFUSED"}
        assert refused == set(compound.values())
        assert {status for name, status in statuses(outcomes).items() if name not in refused} == {"APPLIED"}
        assert await printed(camera.node, "integer_64_bits") == f"integer_64_bits: {(1 << 40) + 1}"
        assert "kept" not in await client.control("button")
        assert (await client.control("menu"))["kept"] == "Menu Item 3"
        await client.reset()
        assert await printed(camera.node, "integer_64_bits") == "integer_64_bits: 0"


async def test_another_program_that_has_claimed_the_controls_is_named(
    vivid: LoadVivid, tmp_path: Path
) -> None:
    async with vivid(1) as (camera,), agent(tmp_path) as client:
        await client.connected()
        async with other_program(camera.node, "--set-priority=3"):
            outcome: dict[str, Any] = {"status": "APPLIED"}
            while outcome["status"] == "APPLIED":  # until the program has opened the camera
                outcome = (await client.put(brightness=20))["brightness"]
            assert outcome["status"] == "REFUSED"
            assert "locked by another program" in outcome["reason"]
        assert statuses(await client.put(brightness=21)) == {"brightness": "APPLIED"}
