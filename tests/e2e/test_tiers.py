"""Each tier forced to fail: the next one serves, and the result says why the earlier ones did not."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import CallFailed
from agent_core.plugin import ffmpeg
from virtual_camera import burnt_in

from .media import Rig, media_rig
from .network_cameras import HeldByAnother, NetworkCameras, network_camera

Observe = Callable[[str], None]
#: Nothing listens there.
DEAD = "rtsp://127.0.0.1:1/cam"
PATIENT: dict[str, Any] = {
    "snapshots": {"tier_budget_s": [10, 15, 15, 25]},
    "media_server": {"close_after_s": 1, "start_timeout_s": 20},
}


def publishes_only(folder: Path) -> str:
    """Return an FFmpeg that takes no stills."""
    program = folder / "publishes-only"
    program.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        f'case "$last" in pipe:*) exit 1;; *) exec {ffmpeg.locate()} "$@";; esac\n'
    )
    program.chmod(0o755)
    return str(program)


class Cameras:
    """The rig's network cameras, at the stream of its virtual camera or at another address."""

    def __init__(self, rig: Rig, network: NetworkCameras, url: str) -> None:
        self.rig = rig
        self.network = network
        self.url = url

    def add(self, name: str, *, url: str = "", held: bool = True, has_credentials: bool = False) -> None:
        frames = HeldByAnother() if held else None
        self.network.connect(
            network_camera(name, url or self.url, has_credentials=has_credentials, frames=frames)
        )

    async def photograph(self, name: str, *, deadline_ms: int = 40_000) -> tuple[int, dict[int, str]]:
        """Return the tier that served, and the reasons of those before it by rank."""
        with anyio.fail_after(50):
            snapshot: Any = await self.rig.client.call(
                "take_snapshot", device=name, max_age_ms=0, deadline_ms=deadline_ms
            )
        burnt_in.read(Path(snapshot["file_path"]).read_bytes())
        return snapshot["tier_used"], reasons(snapshot)


def reasons(told: Mapping[str, Any]) -> dict[int, str]:
    return {each["tier"]: each["reason"] for each in told["tiers_tried"]}


@asynccontextmanager
async def cameras(
    kind: str, folder: Path, observe: Observe, *, stills: bool, **sections: Any
) -> AsyncIterator[Cameras]:
    network = NetworkCameras()
    tier_1 = {} if stills else {"ffmpeg_tier": {"program": publishes_only(folder)}}
    plugins = {"rtsp_tier": {"keep_warm_s": 0, "connect_timeout_s": 15}, **tier_1}
    added = {"network": network.plugin()}
    async with media_rig(
        kind, folder, observe, added=added, plugins=plugins, **{**PATIENT, **sections}
    ) as rig:
        yield Cameras(rig, network, (await rig.call("get_stream_url"))["stream_url"])


async def test_tier_1_serves_when_another_program_holds_the_device(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with cameras(server_kind, tmp_path, observe, stills=True) as rig:
        rig.add("camera1")
        assert await rig.photograph("camera1") == (1, {0: "device_busy"})


async def test_tier_2_serves_from_a_live_stream(server_kind: str, tmp_path: Path, observe: Observe) -> None:
    async with cameras(server_kind, tmp_path, observe, stills=False) as rig:
        rig.add("camera1")
        await rig.rig.call("start_streaming", "camera1")
        used, why = await rig.photograph("camera1")
        assert (used, why[0]) == (2, "device_busy")
        assert why.get(1, "ffmpeg_failed") == "ffmpeg_failed"


async def test_tier_3_serves_when_nothing_else_can(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with cameras(server_kind, tmp_path, observe, stills=False) as rig:
        rig.add("camera1")
        assert await rig.photograph("camera1") == (
            3,
            {0: "device_busy", 1: "ffmpeg_failed", 2: "not_live"},
        )
        await rig.rig.until("get_stream_status", "camera1", ready=False)


async def test_a_camera_with_credentials_goes_by_tiers_2_and_3_only(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    async with cameras(server_kind, tmp_path, observe, stills=True) as rig:
        rig.add("camera1", held=False, has_credentials=True)
        used, why = await rig.photograph("camera1")
        assert used in {2, 3}, why
        assert why.get(1, "input_not_supported") == "input_not_supported"
        await rig.rig.call("start_streaming", "camera1")
        used, why = await rig.photograph("camera1")
        assert used == 2, why


@pytest.mark.parametrize("deadline_ms", [3000, 40_000])
async def test_all_fail_with_all_reasons_within_the_deadline(
    server_kind: str, tmp_path: Path, observe: Observe, deadline_ms: int
) -> None:
    """The server would wait for this stream for longer than the deadline."""
    waits = {"close_after_s": 1, "start_timeout_s": 5 if deadline_ms > 5000 else 120}
    async with cameras(server_kind, tmp_path, observe, stills=False, media_server=waits) as rig:
        rig.add("camera1", url=DEAD)
        with pytest.raises(CallFailed) as caught:
            await rig.photograph("camera1", deadline_ms=deadline_ms)
        error = caught.value
        assert error.code == -32050
        assert error.reason
        assert error.suggestion
        why = reasons(error.data)
        assert why.keys() == {0, 1, 2, 3}
        assert why[0] == "device_busy"
        assert why[2] in {"not_live", "deadline_exceeded"}  # the planner may ask tier 3 first
        assert all(why.values())
        spent_ms = sum(each["ms"] for each in error.data["tiers_tried"])
        assert spent_ms <= deadline_ms + 1000
        rig.add("camera2")  # the next camera does not pay for this one
        assert (await rig.photograph("camera2"))[0] == 3


async def test_what_failed_a_moment_ago_is_tried_again_when_it_may_work(
    server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    """A camera that was away comes back at its address: no tier remembers for long that it failed."""
    waits = {"close_after_s": 1, "start_timeout_s": 3}
    async with cameras(server_kind, tmp_path, observe, stills=False, media_server=waits) as rig:
        rig.add("camera1", url=DEAD)
        with pytest.raises(CallFailed):
            await rig.photograph("camera1", deadline_ms=10_000)
        rig.add("camera1")
        used = None
        with anyio.fail_after(50):
            while used is None:
                try:
                    used, _ = await rig.photograph("camera1", deadline_ms=10_000)
                except CallFailed as error:
                    assert error.data["tiers_tried"]
        assert used in {2, 3}
