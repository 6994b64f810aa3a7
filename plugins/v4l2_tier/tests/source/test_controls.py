"""The controls of a camera, from its report to its unplugging."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from agent_core.plugin import Control, ControlChange, ControlStatus
from agent_core.testing import ControlPanelContract, PanelUnderTest
from v4l2_tier.source.inventory import DeviceNode

Watch = Callable[..., AbstractAsyncContextManager[Any]]
Make = Callable[..., DeviceNode]


class TestV4l2Panel(ControlPanelContract):
    number = "brightness"
    switch = ("auto_exposure", "Manual", "exposure_time_absolute")

    @pytest.fixture(autouse=True)
    def parts(self, watch: Watch, node: Make) -> None:
        self._watch, self._node = watch, node

    @asynccontextmanager
    async def make_panel(self) -> AsyncIterator[PanelUnderTest]:
        async with self._watch(self._node()) as bench:
            panel = bench.report.cameras["video0"].panel
            assert panel is not None
            yield PanelUnderTest(panel, bench.report, "video0")


async def test_kept_values_are_set_before_a_picture_is_wanted_and_reported(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        camera = bench.report.cameras["video0"]
        assert camera.controls[0] == Control("brightness", "integer", -64, 64, 1, 0, 0)
        camera.panel.keep({"brightness": 100})
        await bench.report.wait_controls("video0", 1)
        (told,) = bench.report.changed_controls["video0"]
        assert (told.outcomes[0].status, told.outcomes[0].value) == (ControlStatus.ADJUSTED, 64)
        assert bench.devices.values == {"brightness": 64}
        assert bench.devices.producers["video0"].calls == []


async def test_values_of_the_configuration_are_the_base_of_a_reset(watch: Watch, node: Make) -> None:
    async with watch(node(), defaults={"controls": {"brightness": 7}}) as bench:
        panel = bench.report.cameras["video0"].panel
        await panel.change(ControlChange({"brightness": 9}))
        assert bench.devices.values == {"brightness": 9}
        await panel.change(ControlChange(reset=True))
        assert bench.devices.values["brightness"] == 7


async def test_an_unplugged_camera_reports_no_more(watch: Watch, node: Make) -> None:
    async with watch(node()) as bench:
        panel = bench.devices.panels["video0"]
        bench.devices.unplug("video0")
        await bench.report.wait_count(2)
        panel.tell()
        assert bench.report.changed_controls["video0"] == []
