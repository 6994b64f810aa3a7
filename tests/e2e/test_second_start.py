"""An agent that starts beside a running one, and files that an agent leaves accessible to other users."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.cli.exits import ExitCode
from agent_core.client import AgentClient
from agent_core.testing import running_agent

from .conftest import AgentProcess, AgentProcessFactory, descendants
from .media import EMBEDDED_CONFIG, connected

#: What another program, or a person, may call a picture.
STRANGE_NAMES = (
    "sp ace.jpg",
    "%s%n%00.jpg",
    "a#b?c=d&e.jpg",
    "-rf.jpg",
    "\u00fc.jpg",
    "u\u0308.jpg",
    "+.jpg",
    "back\\slash.jpg",
    "x" * 251 + ".jpg",
)


async def size_bytes(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*.mp4"))


async def grows(folder: Path) -> None:
    before = await size_bytes(folder)
    with anyio.fail_after(30):
        while await size_bytes(folder) <= before:
            await anyio.sleep(0.05)


@asynccontextmanager
async def recording(agent: AgentProcess) -> AsyncIterator[AgentClient]:
    """A client, and camera0 recording until the context is left."""
    async with agent.client() as client:
        await connected(client)
        await client.call("start_recording", device="camera0", wait=True)
        yield client
        assert (await client.call("stop_recording", device="camera0"))["status"] == "STOPPED"


@pytest.mark.parametrize("shared", ["state", "run"])
async def test_the_second_is_refused_and_the_first_goes_on_recording(
    agent_process: AgentProcessFactory, shared: str
) -> None:
    async with agent_process(EMBEDDED_CONFIG) as first, recording(first) as client:
        other = "state_dir" if shared == "run" else "runtime_dir"
        variable = f"CAMERA_AGENT__STORAGE__{'RUNTIME' if shared == 'run' else 'STATE'}_DIR"
        folder, kind = first.folder / shared, "state" if shared == "state" else "runtime"
        async with agent_process(
            EMBEDDED_CONFIG, environment={variable: str(folder)}, name="second"
        ) as second:
            with anyio.fail_after(30):
                assert await second.process.wait() == ExitCode.START
        assert f"Another agent uses this {kind} folder, {folder}." in second.log
        assert "What to do: Stop it, or set storage." in second.log
        assert other not in second.log
        assert "Traceback" not in second.log
        await grows(first.folder / "state" / "recordings")
        # A new publisher needs the sockets.
        await client.call("stop_recording", device="camera0")
        await client.call("start_recording", device="camera0", wait=True)
        await grows(first.folder / "state" / "recordings")


async def test_a_second_with_the_same_recordings_is_refused_and_touches_none(
    agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    """Their state and sockets are apart, as those of the service and of one in a container."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    shared = f'recordings_dir = "{recordings}"\n{EMBEDDED_CONFIG}'
    async with agent_process(shared) as first, recording(first):
        async with agent_process(shared, name="second") as second:
            with anyio.fail_after(30):
                assert await second.process.wait() == ExitCode.START
        assert f"Another agent uses the folder of recordings, {recordings}." in second.log
        assert "What to do: Stop it, or set storage.recordings_dir to another folder." in second.log
        assert "Traceback" not in second.log
        await grows(recordings)
        (note,) = recordings.rglob("recording.json")
        assert json.loads(note.read_text())["ended_at"] is None
    # The kernel has released the lock of the first; its recording was ended, and the next one is the second's.
    async with agent_process(shared, name="second") as second, recording(second):
        assert len(list(recordings.rglob("recording.json"))) == 2


async def test_sockets_that_are_deleted_cost_no_recording_that_starts_later(
    agent_process: AgentProcessFactory,
) -> None:
    async with agent_process(EMBEDDED_CONFIG) as agent:
        async with recording(agent):
            pass
        sockets = {each.name for each in (agent.folder / "run").glob("*.sock")}
        assert sockets == {"agent.sock", "virtual0.sock", "camera0.progress.sock"}
        for each in sockets:
            (agent.folder / "run" / each).unlink()
        with anyio.fail_after(30):
            while {each.name for each in (agent.folder / "run").glob("*.sock")} != sockets:
                await anyio.sleep(0.05)
        async with recording(agent):
            await grows(agent.folder / "state" / "recordings")
        assert "has vanished; making it again" in agent.log


async def test_what_it_makes_is_closed_to_others_whatever_the_umask(
    agent_process: AgentProcessFactory,
) -> None:
    async with agent_process(EMBEDDED_CONFIG, umask=0) as agent:
        async with recording(agent) as client:
            await client.call("take_snapshot", device="camera0")
            await grows(agent.folder / "state" / "recordings")
        made = [each for name in ("state", "run") for each in (agent.folder / name).rglob("*")]
    assert {each.suffix for each in made} >= {".mp4", ".jpg", ".json", ".sock"}
    assert [
        each for each in made if not each.is_symlink() and each.exists() and each.stat().st_mode & 0o007
    ] == []


async def test_a_umask_that_shares_with_the_group_stays(agent_process: AgentProcessFactory) -> None:
    """As docs/mediamtx.md has it for a media server of another account."""
    async with agent_process(EMBEDDED_CONFIG, umask=0o002) as agent, recording(agent):
        folders = [each for each in (agent.folder / "state" / "recordings").rglob("*") if each.is_dir()]
        assert {each.stat().st_mode & 0o777 for each in folders} == {0o770}


async def test_no_child_has_the_agents_settings(agent_process: AgentProcessFactory) -> None:
    environment = {"CAMERA_AGENT__MEDIA_SERVER__PASSWORD": "hidden"}
    async with agent_process(EMBEDDED_CONFIG, environment=environment) as agent, recording(agent):
        children = descendants(agent.pid)
        assert children
        given = [Path(f"/proc/{child}/environ").read_bytes() for child in children]
    assert [b"CAMERA_AGENT_" in each for each in given] == [False] * len(given)


async def test_every_name_in_a_list_can_be_asked_for_and_downloaded(
    tmp_path: Path, observe: Callable[[str], None]
) -> None:
    folder = tmp_path / "camera0"
    folder.mkdir()
    for name in STRANGE_NAMES:
        (folder / name).write_bytes(name.encode())
    for unfit in (b"\xff.jpg", b"new\nline.jpg", b"\x1b[31m.jpg"):
        (folder / os.fsdecode(unfit)).write_bytes(b"")
    config: dict[str, Any] = {"storage": {"snapshots_dir": tmp_path}}
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        listed = (await client.call("list_snapshots", limit=100))["files"]
        assert {each["filename"] for each in listed} == {f"camera0/{name}" for name in STRANGE_NAMES}
        for each in listed:
            found = await client.call("get_snapshot_info", filename=each["filename"])
            assert found["filename"] == each["filename"]
            content = each["filename"].partition("/")[2].encode()
            assert await client.download(each["download_url"]) == content
            assert await client.download(each["filename"]) == content


async def test_state_in_dev_shm_is_shown_as_it_is(observe: Callable[[str], None]) -> None:
    shared = Path("/dev/shm")  # noqa: S108 - that is what is tested
    if not os.access(shared, os.W_OK):
        pytest.skip("there is no /dev/shm to write to")
    folder = shared / f"camera-agent-test-{os.getpid()}"
    (folder / "camera0").mkdir(parents=True)
    try:
        (folder / "camera0" / "a.jpg").write_bytes(b"")
        config: dict[str, Any] = {"storage": {"snapshots_dir": folder}}
        async with running_agent(config=config) as agent, agent.client() as client:
            found = await client.call("get_snapshot_info", filename="camera0/a.jpg")
        assert found["file_path"] == str(folder / "camera0" / "a.jpg")
    finally:
        for each in sorted(folder.rglob("*"), reverse=True):
            each.unlink() if each.is_file() else each.rmdir()
        folder.rmdir()
