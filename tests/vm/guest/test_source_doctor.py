"""`camera-agent doctor` while a program holds a camera."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.captured import other_program

LAYOUT = Layout(serial="CAM-1", mjpeg=(FrameSize(640, 480, (10,)),), yuyv=())


async def doctor(folder: Path) -> dict[str, Any]:
    environment = {
        **os.environ,
        "CAMERA_AGENT__STORAGE__STATE_DIR": str(folder),
        "CAMERA_AGENT__SERVER__PORT": "0",
        "CAMERA_AGENT__PLUGINS__ENABLED": '["v4l2_tier"]',
    }
    command = [sys.executable, "-m", "agent_core", "doctor", "--json"]
    ended = await anyio.run_process(command, check=False, env=environment)
    return {each["name"]: each for each in json.loads(ended.stdout)}


async def test_the_program_that_holds_a_camera_is_named(webcam: PlugWebcam, tmp_path: Path) -> None:
    async with webcam(LAYOUT) as camera:
        title = f"{camera.node.name} (Sim Cam)"
        found = await doctor(tmp_path)
        assert found[title]["status"] == "OK"
        assert found[title]["detail"].startswith("Offers MJPG. No program has it open.")
        assert f"{camera.metadata_node.name} (Sim Cam)" not in found
        async with other_program(camera.node) as program:
            held = (await doctor(tmp_path))[title]
            assert f"Open in v4l2-ctl (process {program.pid})." in held["detail"]
