"""Unplugging of one camera while it runs, without the source around it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent_core.testing import SimulatedClock
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.camera import V4l2Camera
from v4l2_tier.source.context import CameraContext
from v4l2_tier.source.inventory import DeviceNode
from v4l2_tier.source.sockets import SocketPaths
from v4l2_tier.source.start_order import StartOrder

Make = Callable[..., DeviceNode]
HERE, GONE = ("connected", "video0"), ("disconnected", "video0")


@pytest.mark.parametrize("steps", range(40))
async def test_one_that_goes_in_the_moment_it_is_ready_does_not_stay(
    steps: int, bench_parts: tuple[Any, Any], node: Make, tmp_path: Path
) -> None:
    """At each step of the event loop after its socket exists: a cancelled task may still run one more step."""
    devices, report = bench_parts
    settings = V4l2TierSettings()
    context = CameraContext(
        settings, report, SimulatedClock(), SocketPaths(tmp_path), devices.probe, devices.make_producer
    )
    camera = V4l2Camera(node(), context)
    turn = StartOrder(context.clock).next()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(camera.run, turn)
            while not any(tmp_path.iterdir()):
                await anyio.lowlevel.checkpoint()
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            camera.gone()
    assert report.history in ([], [HERE, GONE])
    assert not any(tmp_path.iterdir())
