"""Disks that vanish under the agent's folders: it is said, nothing lands in their place, and all goes on afterwards."""

import itertools
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.volumes import MARK
from agent_core.client import AgentClient, CallFailed
from agent_core.mediamtx.client import MediaServerClient
from agent_core.plugin import ffmpeg
from agent_core.testing.mediamtx import find_mediamtx
from tests.media_servers import running_server

from .conftest import AgentProcess, AgentProcessFactory
from .media import EMBEDDED_CONFIG, connected, media_rig, next_event
from .server_rigs import MANAGED

TOPICS = ["recording.start", "recording.error", "recording_status_update", "system.health"]
#: The disks of these tests are small, and segments are short, so that the servers soon need a new file.
SMALL = "[recordings]\nsegment_duration_s = 2\n[health]\nlow_space_bytes = 1000000\n"


class Usb:
    """A disk at `point`: a small file system that can be pulled, put back, or exchanged for an empty one."""

    def __init__(self, folder: Path, options: str) -> None:
        self.point, self._kept = folder / "usb", folder / "kept"
        for each in (self.point, self._kept):
            each.mkdir()
        _mount("-t", "tmpfs", "-o", options, "camera-agent-test", self._kept)
        self.insert()

    def insert(self) -> None:
        _mount("--bind", self._kept, self.point)

    def exchange(self) -> None:
        _mount("-t", "tmpfs", "-o", "size=64m", "camera-agent-test", self.point)

    def pull(self) -> None:
        subprocess.run(["umount", "--lazy", self.point], check=True)

    def make_read_only(self, *, enabled: bool = True) -> None:
        _mount("-o", f"remount,bind,{'ro' if enabled else 'rw'}", self.point)

    def discard(self) -> None:
        for each in (self.point, self._kept):
            while (
                subprocess.run(["umount", "--lazy", each], check=False, capture_output=True).returncode == 0
            ):
                pass


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@pytest.fixture
def usb_of(tmp_path: Path) -> Iterator[Callable[[str], Usb]]:
    """Return a function that makes the disk with options of tmpfs."""
    made: list[Usb] = []

    def make(options: str) -> Usb:
        if os.geteuid() != 0:
            pytest.skip("mounting a disk needs root")
        try:
            made.append(Usb(tmp_path, options))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this environment refuses mount(8): {error}")
        return made[0]

    yield make
    for each in made:
        each.discard()


@pytest.fixture
def usb(usb_of: Callable[[str], Usb]) -> Usb:
    return usb_of("size=200m")


@pytest.fixture(params=["embedded", pytest.param("managed", marks=pytest.mark.real_mediamtx)])
def server_config(request: pytest.FixtureRequest) -> str:
    if request.param == "embedded":
        return EMBEDDED_CONFIG
    if find_mediamtx() is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    return MANAGED.format(program=find_mediamtx(), media_server="")


@asynccontextmanager
async def ready(agent: AgentProcess) -> AsyncIterator[AgentClient]:
    async with agent.client("admin") as client:
        await connected(client)
        yield client


async def refused(client: AgentClient, method: str, **params: Any) -> CallFailed:
    """Return the error of the call, which says what to do."""
    with pytest.raises(CallFailed) as caught:
        await client.call(method, **params)
    assert caught.value.code == -32050
    assert caught.value.suggestion
    return caught.value


async def until_disk(client: AgentClient, status: str, words: str = "") -> str:
    """Wait until the check of the disk has that status, with these words in its detail; return the detail."""
    with anyio.fail_after(30):
        while True:
            health = await client.call("get_status")
            checks = {each["name"]: each for each in health["checks"]}
            found = checks.get("disk", {"status": "", "detail": ""})
            if found["status"] == status and words in found["detail"]:
                assert (health["status"] == "UNHEALTHY") is (status == "FAILED")
                return str(found["detail"])
            await anyio.sleep(0.05)


async def until_logged(agent: AgentProcess, words: str, times: int) -> None:
    with anyio.fail_after(30):
        while agent.log.count(words) < times:
            await anyio.sleep(0.05)


async def another_file(folder: Path) -> None:
    """Wait for a segment that is not there yet: the one before may have grown on while its disk was gone."""
    before = set(folder.glob("*.mp4"))
    with anyio.fail_after(20):
        while not set(folder.glob("*.mp4")) - before:
            await anyio.sleep(0.05)


def fill(disk: Path) -> None:
    """Make files until there are no more inodes for them."""
    for number in itertools.count():
        (disk / f"file{number}").touch()


async def test_a_recording_says_that_its_disk_is_gone_and_goes_on_when_it_is_back(
    usb: Usb, server_config: str, agent_process: AgentProcessFactory
) -> None:
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{server_config}'
    async with agent_process(config) as agent, ready(agent) as client, client.subscribe(TOPICS) as events:
        started = await client.call("start_recording", device="camera0", wait=True)
        usb.pull()
        with anyio.fail_after(10):
            error = await next_event(events, "recording.error")
            assert (error["filename"], error["reason"]) == (started["filename"], "disk_missing")
        assert "not mounted" in await until_disk(client, "FAILED")
        assert (await refused(client, "list_recordings")).reason == "disk_missing"
        await until_logged(agent, "[recorder]", 2)  # the server has tried to write, and tries again
        assert list(usb.point.iterdir()) == []
        usb.insert()
        await next_event(events, "recording_status_update", status="RECORDING")
        await until_disk(client, "OK")
        folder = usb.point / "camera0" / started["filename"]
        await another_file(folder)
        recording = await client.call("stop_recording", device="camera0")
        assert recording["filename"] == started["filename"]
        segments = sorted(folder.glob("*.mp4"))
        assert json.loads((folder / "recording.json").read_text())["ended_at"]
        frames = await ffmpeg.run(
            ffmpeg.locate(), ["-xerror", "-i", str(segments[-1]), "-f", "framecrc", "-"]
        )
        assert b"\n0," in frames


@pytest.mark.real_mediamtx
async def test_an_external_server_is_told_to_stop_while_the_disk_is_gone(
    usb: Usb, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    """It may be in a container or another account, and could not use a link of the agent."""
    if find_mediamtx() is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    storage = {"recordings_dir": usb.point}
    async with running_server("mediamtx", tmp_path / "media_server") as server:
        async with media_rig("mediamtx", tmp_path, observe, server=server, storage=storage) as rig:
            async with rig.agent.client() as watcher, watcher.subscribe(TOPICS) as events:
                started = await rig.call("start_recording", wait=True)
                usb.pull()
                assert (await next_event(events, "recording.error"))["reason"] == "disk_missing"
                await recording_is(server.api_url, on=False)
                assert list(usb.point.iterdir()) == []
                usb.insert()
                await recording_is(server.api_url, on=True)
                await next_event(events, "recording_status_update", status="RECORDING")
                folder = usb.point / "camera0" / started["filename"]
                with anyio.fail_after(20):
                    while len(list(folder.glob("*.mp4"))) < 2:
                        await anyio.sleep(0.05)
                assert len((await rig.call("stop_recording"))["segments"]) == 2


async def recording_is(api_url: str, *, on: bool) -> None:
    """Wait until the server's path records, or does not."""
    async with MediaServerClient(api_url) as client:
        with anyio.fail_after(20):
            while True:
                conf = await client.path_config("camera0")
                if conf is not None and bool(conf.record) is on:
                    return
                await anyio.sleep(0.05)


async def test_a_recording_that_is_stopped_without_its_disk_is_ended_when_it_is_back(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client, client.subscribe(TOPICS) as events:
        started = await client.call("start_recording", device="camera0", wait=True)
        usb.pull()
        await next_event(events, "recording.error")
        await client.call("stop_recording", device="camera0")
        assert list(usb.point.iterdir()) == []
        usb.insert()
        note = usb.point / "camera0" / started["filename"] / "recording.json"
        with anyio.fail_after(20):
            while not json.loads(note.read_text())["ended_at"]:
                await anyio.sleep(0.05)
        (only,) = (await client.call("list_recordings"))["files"]
        assert only["duration"] > 0


async def test_an_agent_that_starts_without_the_disk_waits_for_it_and_resumes(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client:
        started = await client.call("start_recording", device="camera0", wait=True)
        assert await agent.end(signal.SIGKILL) != 0
    usb.pull()
    (agent.folder / "state" / "endpoint.json").unlink()
    async with agent_process(config) as agent, ready(agent) as client, client.subscribe(TOPICS) as events:
        assert "not mounted" in await until_disk(client, "FAILED")
        error = await refused(client, "start_recording", device="camera0")
        assert (error.reason, error.data["dependency"]) == ("disk_missing", "storage")
        assert list(usb.point.iterdir()) == []
        usb.insert()
        resumed = await next_event(events, "recording.start")
        assert resumed["filename"] == started["filename"]


async def test_another_disk_is_not_used_until_the_operator_accepts_it(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client, client.subscribe(TOPICS) as events:
        started = await client.call("start_recording", device="camera0", wait=True)
        usb.pull()
        assert (await next_event(events, "recording.error"))["reason"] == "disk_missing"
        usb.exchange()
        assert (await next_event(events, "recording.error"))["reason"] == "disk_changed"
        await until_disk(client, "FAILED", "Another disk")
        assert list(usb.point.iterdir()) == []
        (usb.point / MARK).touch()
        await next_event(events, "recording_status_update", status="RECORDING")
        recording = await client.call("stop_recording", device="camera0")
        assert recording["filename"] == started["filename"]
        assert (usb.point / "camera0" / recording["filename"] / "recording.json").is_file()


async def test_a_disk_that_vanishes_before_its_first_recording_was_noticed_at_the_start(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    """The folder, which is not there at the first start, is known from then on."""
    config = f'recordings_dir = "{usb.point}/recordings"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client:
        await until_disk(client, "OK")
        usb.pull()
        assert "not mounted" in await until_disk(client, "FAILED")
        assert (await refused(client, "start_recording", device="camera0")).reason == "disk_missing"
        assert list(usb.point.iterdir()) == []


async def test_a_disk_that_becomes_read_only_fails_the_check_and_refuses_recordings(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client:
        await until_disk(client, "OK")
        usb.make_read_only()
        assert "read-only" in await until_disk(client, "FAILED")
        assert (await refused(client, "start_recording", device="camera0")).reason == "read_only"
        assert (await client.call("list_recordings"))["files"] == []
        usb.make_read_only(enabled=False)
        await until_disk(client, "OK")


async def test_snapshots_are_not_stored_below_an_empty_mount_point(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'snapshots_dir = "{usb.point}/pictures"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client:
        first = await client.call("take_snapshot", device="camera0")
        usb.pull()
        for method in ("take_snapshot", "list_snapshots"):
            assert (await refused(client, method, device="camera0")).reason == "disk_missing"
        assert "snapshots" in await until_disk(client, "FAILED")
        assert list(usb.point.iterdir()) == []
        usb.insert()
        await until_disk(client, "OK")
        await client.call("take_snapshot", device="camera0")
        names = [each["filename"] for each in (await client.call("list_snapshots"))["files"]]
        assert (len(names), names[-1]) == (2, first["filename"])


async def test_an_agent_starts_without_the_disk_of_its_snapshots(
    usb: Usb, agent_process: AgentProcessFactory
) -> None:
    config = f'snapshots_dir = "{usb.point}/pictures"\n{SMALL}{EMBEDDED_CONFIG}'
    async with agent_process(config) as agent, ready(agent) as client:
        await client.call("take_snapshot", device="camera0")
        assert await agent.end() == 0
    usb.pull()
    async with agent_process(config) as agent, ready(agent) as client:
        assert "snapshots" in await until_disk(client, "FAILED")
        assert list(usb.point.iterdir()) == []


async def test_nothing_is_written_in_the_place_of_a_state_folder_that_is_gone(
    usb: Usb, agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    """It has the recordings and the snapshots too."""
    (usb.point / "state").mkdir(mode=0o700)
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "state").symlink_to(usb.point / "state")
    async with agent_process(SMALL + EMBEDDED_CONFIG) as agent, ready(agent) as client:
        await client.call("start_recording", device="camera0", wait=True)
        await client.call("take_snapshot", device="camera0")
        async with client.subscribe(TOPICS) as events:
            usb.pull()
            assert (await next_event(events, "recording.error"))["reason"] == "disk_missing"
            await until_disk(client, "FAILED")
            assert (await refused(client, "take_snapshot", device="camera0")).reason == "disk_missing"
            await until_logged(agent, "[recorder]", 2)
            assert list(usb.point.iterdir()) == []
            usb.insert()
            await next_event(events, "recording_status_update", status="RECORDING")
            await until_disk(client, "OK")


async def test_a_state_folder_that_was_moved_is_not_made_again_by_its_media(
    agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    """No disk vanishes here, which the media would notice themselves; what they made would keep it from moving back."""
    async with agent_process(SMALL + EMBEDDED_CONFIG) as agent, ready(agent) as client:
        await until_disk(client, "OK")
        state = agent.folder / "state"
        state.rename(tmp_path / "away")
        assert "state folder" in await until_disk(client, "FAILED")
        assert (await refused(client, "take_snapshot", device="camera0")).reason == "state_missing"
        assert not state.exists()
        (tmp_path / "away").rename(state)
        await until_disk(client, "OK")
        await client.call("take_snapshot", device="camera0")


async def test_no_inodes_left_is_said_as_a_full_disk(
    usb_of: Callable[[str], Usb], server_config: str, agent_process: AgentProcessFactory
) -> None:
    usb = usb_of("size=200m,nr_inodes=40")
    config = f'recordings_dir = "{usb.point}"\n{SMALL}{server_config}'
    async with agent_process(config) as agent, ready(agent) as client, client.subscribe(TOPICS) as events:
        await client.call("start_recording", device="camera0", wait=True)
        with pytest.raises(OSError, match="No space"):
            fill(usb.point)
        error = await next_event(events, "recording.error")
        assert error["reason"] == "disk_full"
        assert "inodes" in await until_disk(client, "FAILED")
        for file in usb.point.glob("file*"):
            file.unlink()
        await next_event(events, "recording_status_update", status="RECORDING")
        await client.call("stop_recording", device="camera0")
