"""Findings of `doctor`; tests in the virtual machine cover real devices."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_core.plugin import FindingStatus
from v4l2_tier.checks import DeviceCheck
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.inventory import DeviceNode


async def test_a_machine_without_cameras_has_nothing_wrong() -> None:
    first, *_ = await DeviceCheck(V4l2TierSettings()).look()
    assert first.name == "V4L2 devices"
    assert first.status is not FindingStatus.FAILED
    assert first.detail.split()[1].isdigit()


async def test_a_device_that_hangs_hides_no_other(
    bench_parts: tuple[Any, Any], node: Callable[..., DeviceNode], capabilities: Capabilities
) -> None:
    devices, _ = bench_parts
    ended = threading.Event()
    for number in range(3):
        devices.plug(node(number, port=number))

    def ask(path: Path) -> Capabilities:
        if path.name == "video1":
            ended.wait(20)
        if path.name == "video2":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return capabilities

    try:
        overall, *found = await DeviceCheck(V4l2TierSettings(), lambda: devices, ask, 2.0).look()
    finally:
        ended.set()
    assert overall.detail.startswith("Found 3 device nodes")
    assert [each.name.split()[0] for each in found] == ["video0", "video1", "video2"]
    assert [each.status for each in found] == [FindingStatus.OK, FindingStatus.FAILED, FindingStatus.FAILED]
    assert "not answered for 2 s" in found[1].detail
    assert "group `video`" in found[2].suggestion


async def test_what_matches_nothing_and_what_cannot_be_told_is_found(
    bench_parts: tuple[Any, Any], node: Callable[..., DeviceNode], capabilities: Capabilities
) -> None:
    devices, _ = bench_parts
    devices.plug(node())
    devices.doubts = ("The node video7 is not used.",)
    settings = V4l2TierSettings.model_validate({"cameras": [{"match": "Sim Cam"}, {"match": "Cam [2]"}]})
    found = await DeviceCheck(settings, lambda: devices, lambda _: capabilities).look()
    assert [each.detail for each in found if each.status is FindingStatus.WARNING] == [
        "The node video7 is not used.",
        "No connected camera matches 'Cam [2]' (plugins.v4l2_tier.cameras).",
    ]
    assert "'CAM-A'" in found[-1].suggestion
