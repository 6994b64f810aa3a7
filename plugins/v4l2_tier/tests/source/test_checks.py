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
from v4l2_tier.source.inventory import DeviceNode


async def test_a_machine_without_cameras_has_nothing_wrong() -> None:
    first, *_ = await DeviceCheck().look()
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
        overall, *found = await DeviceCheck(lambda: devices, ask, 2.0).look()
    finally:
        ended.set()
    assert overall.detail.startswith("Found 3 device nodes")
    assert [each.name.split()[0] for each in found] == ["video0", "video1", "video2"]
    assert [each.status for each in found] == [FindingStatus.OK, FindingStatus.FAILED, FindingStatus.FAILED]
    assert "not answered for 2 s" in found[1].detail
    assert "group `video`" in found[2].suggestion
