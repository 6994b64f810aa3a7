"""Start on a disk that cannot be written: stored files are served, and a refusal gives its reason."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from .conftest import AgentProcessFactory

VIRTUAL = """
[server]
port = 0
[plugins]
enabled = ["virtual_camera"]
"""


def on(disk: Path, folder: Path) -> None:
    """Let the state folder of the agent below `folder` be one on `disk`."""
    folder.mkdir()
    (disk / "state").mkdir(mode=0o700, exist_ok=True)
    (folder / "state").symlink_to(disk / "state")


async def test_an_agent_that_has_run_starts_again_on_a_full_disk(
    tmpfs: Callable[[str], Path], agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    disk = tmpfs("size=1m")
    on(disk, tmp_path / "agent")
    async with agent_process(VIRTUAL) as agent, agent.client("viewer"):
        assert await agent.end() == 0
    os.truncate(disk / "state" / "watchdog.txt", 0)  # it has no block that it could have again
    with pytest.raises(OSError, match="No space"):
        (disk / "filler").write_bytes(bytes(2 << 20))
    async with agent_process(VIRTUAL) as agent:
        with anyio.fail_after(30):
            while "listening on" not in agent.log:
                assert agent.process.returncode is None, agent.log
                await anyio.sleep(0.01)
        assert "watchdog.txt in the state folder: no space left on device" in agent.log
        assert "Free some space on this disk." in agent.log
        assert await agent.end() == 0


async def test_a_folder_on_a_read_only_disk_is_refused_with_what_to_do(
    tmpfs: Callable[[str], Path], agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    disk = tmpfs("size=1m")
    on(disk, tmp_path / "agent")
    (disk / "state").chmod(0o777)
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(disk)], check=True)
    async with agent_process(VIRTUAL) as agent:
        with anyio.fail_after(30):
            assert await agent.process.wait() == 6
        assert "Traceback" not in agent.log
        assert "state to other accounts: read-only file system." in agent.log
        assert "Remount the file system writable" in agent.log
