"""The panel of a device: kept values, changes by clients, and both at once with the capture."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread
import pytest

from agent_core.plugin import (
    CaptureFailed,
    ControlChange,
    ControlFlag,
    ControlStatus,
    ControlValue,
)
from agent_core.plugin.controls import DevicePanel
from agent_core.testing import ControlPanelContract, PanelUnderTest, RecordingReport
from tests.plugin.controls.webcam import WEBCAM, Webcam

APPLIED, ADJUSTED, REFUSED = ControlStatus
KEY = "camera"
MANUAL: dict[str, ControlValue] = {"auto_exposure": "Manual Mode", "exposure_time_absolute": 333}


@asynccontextmanager
async def running(
    camera: Webcam, configured: dict[str, ControlValue] | None = None
) -> AsyncIterator[tuple[DevicePanel, RecordingReport]]:
    report = RecordingReport()
    panel = DevicePanel(
        camera.controls, camera.opened, report=partial(report.controls, KEY), configured=configured or {}
    )
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(panel.run)
            yield panel, report
            tg.cancel_scope.cancel()


class TestDevicePanel(ControlPanelContract):
    number = "brightness"
    switch = ("auto_exposure", 1, "exposure_time_absolute")

    @asynccontextmanager
    async def make_panel(self) -> AsyncIterator[PanelUnderTest]:
        async with running(Webcam()) as (panel, report):
            yield PanelUnderTest(panel, report, KEY)


async def change(panel: DevicePanel, **values: ControlValue) -> dict[str, ControlStatus]:
    changed = await panel.change(ControlChange(values))
    return {each.asked or each.name: each.status for each in changed.outcomes}


async def test_what_a_client_sets_is_set_again_when_the_device_is_opened_even_if_it_seems_right() -> None:
    """A driver may report values that the camera has lost: all are written once then, and compared later."""
    camera = Webcam()
    async with running(camera) as (panel, _):
        assert await change(panel, **MANUAL) == {"auto_exposure": APPLIED, "exposure_time_absolute": APPLIED}
        camera.written.clear()
        assert panel.settle(camera, rewrite=True) == []
        assert camera.written == [("auto_exposure", 1), ("exposure_time_absolute", 333)]
        camera.written.clear()
        panel.settle(camera, rewrite=False)
        assert camera.written == []
        camera.values["exposure_time_absolute"] = 9  # the start of the stream undid it
        panel.settle(camera, rewrite=False)
        assert camera.written == [("exposure_time_absolute", 333)]


async def test_kept_values_are_set_at_once_and_their_outcomes_told_once() -> None:
    camera = Webcam()
    async with running(camera) as (panel, report):
        panel.keep(MANUAL)
        await report.wait_controls(KEY, 1)
        assert {each.name: each.status for each in report.changed_controls[KEY][0].outcomes} == dict.fromkeys(
            MANUAL, APPLIED
        )
        assert camera.values["exposure_time_absolute"] == 333
        panel.keep(dict(MANUAL))  # the source reports the camera again
        panel.settle(camera, rewrite=True)
        panel.tell()
        assert [len(each.outcomes) for each in report.changed_controls[KEY]] == [2, 0]


async def test_a_kept_value_beyond_another_range_is_adjusted_said_and_kept_as_it_was() -> None:
    camera = Webcam(ranges={"brightness": (0, 100)})
    async with running(camera) as (panel, report):
        panel.keep({"brightness": 200})
        await report.wait_controls(KEY, 1)
        (outcome,) = report.changed_controls[KEY][0].outcomes
        assert (outcome.status, outcome.value, outcome.requested) == (ADJUSTED, 100, 200)
        camera.ranges.clear()  # the former camera is back
        panel.settle(camera, rewrite=True)
        assert camera.values["brightness"] == 200


async def test_a_kept_value_that_is_newly_refused_is_told_once() -> None:
    camera = Webcam()
    async with running(camera) as (panel, report):
        await change(panel, gain=7)
        camera.refuses["gain"] = "control_refused"
        for _ in range(3):
            panel.settle(camera, rewrite=True)
            panel.tell()
        assert [[each.status for each in told.outcomes] for told in report.changed_controls[KEY]] == [
            [REFUSED],
            [],
            [],
        ]


async def test_a_kept_value_waits_while_an_automatic_mode_determines_it() -> None:
    camera = Webcam()
    async with running(camera) as (panel, report):
        await change(panel, **MANUAL)
        await change(panel, auto_exposure=3)
        panel.settle(camera, rewrite=True)
        panel.tell()
        assert report.changed_controls[KEY][-1].outcomes == ()
        camera.values["exposure_time_absolute"] = 9
        assert await change(panel, auto_exposure=1) == {"auto_exposure": APPLIED}
        assert camera.values["exposure_time_absolute"] == 333


async def test_what_was_adjusted_is_kept_as_it_was_set() -> None:
    camera = Webcam(sticks_at={"gain": 8})
    async with running(camera) as (panel, _):
        assert await change(panel, gain=7, brightness=1000) == {"gain": ADJUSTED, "brightness": ADJUSTED}
        camera.written.clear()
        panel.settle(camera, rewrite=True)
        assert camera.written == [("gain", 8), ("brightness", 255)]


async def test_the_configuration_is_the_base_of_what_clients_set() -> None:
    camera = Webcam()
    async with running(camera, {"brightness": 50, "gain": 3, "zoom": 1}) as (panel, _):
        (note,) = panel.settle(camera, rewrite=True)
        assert note.startswith("control zoom: the camera has no such control")
        assert (camera.values["brightness"], camera.values["gain"]) == (50, 3)
        await change(panel, brightness=60)
        panel.settle(camera, rewrite=True)
        assert (camera.values["brightness"], camera.values["gain"]) == (60, 3)
        changed = await panel.change(ControlChange(reset=True))
        assert (camera.values["brightness"], camera.values["gain"]) == (50, 3)
        told = {each.name: each.value for each in changed.outcomes}
        assert (told["brightness"], told["gain"], told["power_line_frequency"]) == (50, 3, 2)


async def test_a_reset_forgets_what_was_kept_and_may_set_other_values() -> None:
    camera = Webcam()
    async with running(camera) as (panel, _):
        await change(panel, brightness=1, gain=7)
        changed = await panel.change(ControlChange({"gain": 9}, reset=True))
        assert changed.outcomes[0].name == "gain"
        assert (camera.values["brightness"], camera.values["gain"]) == (128, 9)
        camera.values |= {"brightness": 5, "gain": 5}
        panel.settle(camera, rewrite=True)
        assert (camera.values["brightness"], camera.values["gain"]) == (5, 9)


async def test_a_silent_control_is_left_out_until_a_client_names_it() -> None:
    camera = Webcam()
    async with running(camera) as (panel, _):
        await change(panel, gain=7, brightness=9)
        camera.mute.add("gain")
        for _ in range(3):  # three openings of the device
            camera.values["brightness"] = 1
            panel.settle(camera, rewrite=True)
            panel.tell()
        assert camera.asked == ["gain"]
        assert camera.values["brightness"] == 9
        camera.mute.clear()
        assert await change(panel, gain=7) == {"gain": APPLIED}


async def test_a_control_that_was_silent_at_the_probe_is_not_asked_for_pictures() -> None:
    controls = tuple(
        replace(each, flags=frozenset({ControlFlag.UNREADABLE})) if each.name == "gain" else each
        for each in WEBCAM
    )
    camera = Webcam(controls, mute={"gain"})
    async with running(camera, {"gain": 3, "brightness": 9}) as (panel, _):
        panel.settle(camera, rewrite=True)
        assert (camera.asked, camera.values["brightness"]) == ([], 9)


async def test_an_unplugged_camera_fails_the_change_and_nothing_more_is_kept() -> None:
    camera = Webcam()
    async with running(camera) as (panel, _):
        await change(panel, brightness=9)
        camera.before_write = lambda name: camera.unplug() if name == "power_line_frequency" else None
        with pytest.raises(CaptureFailed) as caught:
            await change(panel, gain=7, power_line_frequency=1)
        assert caught.value.reason == "camera_gone"
        camera.is_gone = False
        camera.written.clear()
        panel.settle(camera, rewrite=True)
        assert camera.names_written == ["brightness"]


async def test_a_client_and_the_capture_take_turns_and_the_clients_value_stays() -> None:
    """The capture opens the device while a change is under way in it."""
    camera = Webcam()
    began, may_end = threading.Event(), threading.Event()
    async with running(camera) as (panel, _):
        await change(panel, gain=1)

        def stop_once(_: str) -> None:
            camera.before_write = lambda _: None
            began.set()
            may_end.wait(10)

        camera.before_write = stop_once
        async with anyio.create_task_group() as tg:
            tg.start_soon(panel.change, ControlChange({"gain": 2}))
            await anyio.to_thread.run_sync(began.wait)
            opened = anyio.Event()

            async def open_device() -> None:
                await anyio.to_thread.run_sync(lambda: panel.settle(camera, rewrite=True))
                opened.set()

            tg.start_soon(open_device)
            await anyio.lowlevel.checkpoint()
            may_end.set()
        assert opened.is_set()
        assert [value for name, value in camera.written if name == "gain"] == [1, 2, 2]


async def test_two_clients_at_once_both_get_their_answers() -> None:
    camera = Webcam()
    answers: list[dict[str, ControlStatus]] = []
    async with running(camera) as (panel, _):

        async def client(value: int) -> None:
            answers.append(await change(panel, brightness=value, gain=value))

        async with anyio.create_task_group() as tg:
            for value in range(1, 9):
                tg.start_soon(client, value)
        assert answers == [{"brightness": APPLIED, "gain": APPLIED}] * 8
        assert camera.values["brightness"] == camera.values["gain"]
