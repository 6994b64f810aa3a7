"""Snapshots of many cameras at once while some are recorded."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from virtual_camera import burnt_in

from .media import CAMERA, Rig, decoded, is_gapless, media_rig
from .network_cameras import NetworkCameras, network_camera

Observe = Callable[[str], None]
#: camera0 and camera1 are virtual; camera2 to camera4 are network cameras at their streams, which tiers 2 and 3 serve.
VIRTUAL = ({**CAMERA, "fps": 10}, {**CAMERA, "id": "camera1", "name": "Other", "fps": 10})
DEVICES = [f"camera{number}" for number in range(5)]
RECORDED = ["camera0", "camera2", "camera3"]
ROUNDS = 3
SECTIONS: dict[str, Any] = {
    "plugins": {"rtsp_tier": {"connect_timeout_s": 30, "silence_timeout_s": 30, "worker_silence_s": 30}},
    "snapshots": {"tier_budget_s": [20, 20, 20, 30], "deadline_ms": 50_000},
    "media_server": {"start_timeout_s": 30},
    "recordings": {"start_timeout_s": 30, "stall_s": 20},
    "auth": {"calls_per_s": 1000, "calls_burst": 2000},
}


@pytest.mark.timeout(240)
async def test_twenty_snapshots_of_five_cameras_while_three_record(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    network = NetworkCameras()
    added = {"network": network.plugin()}
    async with media_rig(server_kind, tmp_path, observe, cameras=VIRTUAL, added=added, **SECTIONS) as rig:
        for number in (2, 3, 4):
            url = (await rig.call("get_stream_url", f"camera{number % 2}"))["stream_url"]
            network.connect(network_camera(f"camera{number}", url, has_credentials=True))
        for device in RECORDED:
            await rig.call("start_recording", device, wait=True)
        used = Counter[tuple[str, int]]()
        for _ in range(ROUNDS):
            async with anyio.create_task_group() as tg:
                for number in range(20):
                    tg.start_soon(photograph, rig, DEVICES[number % 5], used)
        recordings = [await rig.call("stop_recording", device) for device in RECORDED]
        assert used.total() == 20 * ROUNDS
        assert {tier for device, tier in used if device in DEVICES[:2]} == {0}
        assert {tier for device, tier in used if device in {"camera2", "camera3"}} == {2}
        assert {tier for device, tier in used if device == "camera4"} <= {2, 3}
        for recording in recordings:
            (segment,) = rig.segments(recording)
            assert is_gapless(await decoded(segment))


async def photograph(rig: Rig, device: str, used: Counter[tuple[str, int]]) -> None:
    with anyio.fail_after(60):
        snapshot: Any = await rig.client.call("take_snapshot", device=device, max_age_ms=0)
    burnt_in.read(Path(snapshot["file_path"]).read_bytes())
    used[device, snapshot["tier_used"]] += 1
