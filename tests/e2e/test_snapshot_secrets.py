"""The media server's password for readers stays out of command lines, environments, logs, results and events."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from agent_core.client import CallFailed
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx

from .conftest import descendants
from .media import Rig, media_rig
from .network_cameras import NetworkCameras, network_camera

Observe = Callable[[str], None]
READER = "s3cr3t-of-the-server"
SECTIONS: dict[str, Any] = {
    "plugins": {"rtsp_tier": {"keep_warm_s": 0, "connect_timeout_s": 20}},
    "snapshots": {"tier_budget_s": [10, 10, 20, 20]},
    "media_server": {"close_after_s": 1, "start_timeout_s": 10},
    "logging": {"level": "debug"},
}


class Watch:
    """What the processes below this one show to every user of the host: their command lines and environments."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, str], bytes] = {}

    async def run(self) -> None:
        while True:
            for pid in descendants(os.getpid()):
                for name in ("cmdline", "environ"):
                    self._look(pid, name)
            await anyio.sleep(0.01)

    def _look(self, pid: int, name: str) -> None:
        try:
            self.seen[pid, name] = self.seen.get((pid, name), b"") + Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:  # it has ended
            return

    def commands(self, word: str) -> list[int]:
        """Return the processes whose command line had this word."""
        return [pid for (pid, name), text in self.seen.items() if name == "cmdline" and word.encode() in text]

    def shown(self, secret: str) -> list[tuple[int, str]]:
        return [where for where, text in self.seen.items() if secret.encode() in text]


@contextmanager
def kept(observe: Observe) -> Iterator[tuple[list[str], Observe]]:
    """Return every text that a client received, and the observer that keeps it."""
    texts: list[str] = []

    def both(text: str) -> None:
        texts.append(text)
        observe(text)

    yield texts, both


async def everything(rig: Rig) -> None:
    """Ask for all that a client can be told of a camera."""
    for method in ("get_camera_status", "get_stream_url", "get_stream_status", "get_camera_capabilities"):
        try:
            await rig.call(method, "camera1")
        except CallFailed:
            continue  # it may fail, and says why to the transcript
    for method in ("get_camera_list", "get_streams", "get_system_status", "get_metrics", "get_status"):
        try:
            await rig.call(method, None)
        except CallFailed:
            continue


async def used_tier(rig: Rig) -> int:
    with anyio.fail_after(40):
        snapshot: Any = await rig.client.call(
            "take_snapshot", device="camera1", max_age_ms=0, deadline_ms=30_000
        )
    tier: int = snapshot["tier_used"]
    return tier


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[MediaServerUnderTest]:
    """A MediaMTX that asks everyone for a password, also to read a stream."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    actions = [{"action": each} for each in ("publish", "read", "api")]
    anyone = {"user": "any", "pass": "", "ips": [], "permissions": [{"action": "publish"}]}
    agent = {"user": "agent", "pass": READER, "ips": [], "permissions": actions}
    folder.mkdir()
    async with running_mediamtx(program, folder, settings={"authInternalUsers": [agent, anyone]}) as server:
        yield server


@pytest.mark.real_mediamtx
async def test_a_media_server_with_a_password(
    tmp_path: Path, observe: Observe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    network, watch = NetworkCameras(), Watch()
    known = {**SECTIONS["media_server"], "user": "agent", "password": READER}
    sections = {**SECTIONS, "media_server": known}
    with kept(observe) as (texts, keep):
        async with guarded(tmp_path / "media_server") as server:
            rig = media_rig(
                "mediamtx", tmp_path, keep, server=server, added={"network": network.plugin()}, **sections
            )
            async with rig as agent, anyio.create_task_group() as tg:
                tg.start_soon(watch.run)
                await agent.call("start_streaming")
                url = f"rtsp://agent:{quote(READER)}@{server.rtsp_url.partition('://')[2]}/camera0"
                network.connect(network_camera("camera1", url, has_credentials=True))
                assert [await used_tier(agent), await used_tier(agent)][0] == 3
                await agent.call("start_streaming", "camera1")
                assert await used_tier(agent) == 2
                await everything(agent)
                tg.cancel_scope.cancel()
    assert watch.commands("rtsp_tier.worker")
    assert not watch.shown(READER)
    assert READER not in caplog.text
    assert not [text for text in texts if READER in text]
