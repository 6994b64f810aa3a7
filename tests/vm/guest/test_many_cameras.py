"""Twenty cameras with forty nodes, and one more that does not answer: it holds up no other, and ids stay."""

from pathlib import Path

import anyio
import pytest

from agent_core.base.models import CameraStatus
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.captured import descriptors
from tests.vm.guest.sources import Watching, connected, watching
from tests.vm.guest.vivid import LoadVivid

CAMERAS = 20
#: An S-Video input of vivid, which has few sizes and rates to tell.
S_VIDEO = 0b10
LIMIT_S = 200
#: Nodes asked at once, as the README says.
AT_ONCE = 8
SILENT = Layout(serial="CAM-SILENT", product="Silent", mjpeg=(FrameSize(320, 240, (10,)),), yuyv=())


def ids(seen: Watching) -> dict[str, str]:
    """Return the id of each camera of vivid by its port."""
    cameras = [camera for camera in seen.registry.list() if camera.name != SILENT.product]
    return {str(camera.detected.fingerprint.port): camera.id for camera in cameras}


async def until_connected(seen: Watching, count: int) -> None:
    with anyio.fail_after(LIMIT_S):
        while len(connected(seen.registry.list())) < count:
            await anyio.sleep(0.1)


def number(node: Path) -> int:
    return int(node.name.removeprefix("video"))


@pytest.mark.timeout(600)
async def test_a_camera_that_does_not_answer_holds_up_none_of_twenty(
    webcam: PlugWebcam, vivid: LoadVivid, tmp_path: Path
) -> None:
    """It has the lowest number, so that it is asked first."""
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, len(descriptors()))
            await anyio.sleep(0.02)

    async with webcam(SILENT) as silent, vivid(CAMERAS, input_types=S_VIDEO, metadata=True) as cameras:
        assert all(number(silent.node) < number(camera.node) for camera in cameras)
        await silent.set_fault("hang")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            async with watching(tmp_path / "known.json") as seen:
                await until_connected(seen, CAMERAS)
                first = ids(seen)
                assert len(first) == len(set(first.values())) == CAMERAS
                statuses = {camera.name: camera.status for camera in seen.registry.list()}
                assert statuses.get(SILENT.product) is not CameraStatus.CONNECTED
                await silent.set_fault(None)
                await until_connected(seen, CAMERAS + 1)
            tasks.cancel_scope.cancel()
        async with watching(tmp_path / "known.json") as seen:
            await until_connected(seen, CAMERAS + 1)
            assert ids(seen) == first
    print(f"at most {most} nodes were open at once")  # noqa: T201 - a measurement
    assert most <= AT_ONCE
