"""docs/mediamtx.md names the endpoints and settings that the code uses, and its examples are valid."""

import re
import shutil
import subprocess
from pathlib import Path

import anyio
import pytest

from agent_core.base import processes
from agent_core.config import MediaServerConfig, load_config
from agent_core.mediamtx.managed import program as managed_program
from agent_core.mediamtx.managed import server as managed
from agent_core.mediamtx.managed.config import OLDEST, Ports
from agent_core.mediamtx.schema import HOT_KEYS
from agent_core.streams.publishers import liveness as publishing
from agent_core.testing.mediamtx import find_mediamtx

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/mediamtx.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_call_and_no_other_is_listed() -> None:
    client = (ROOT / "agent_core/mediamtx/client.py").read_text()
    used = {re.sub(r"/\{.*", "/NAME", path) for path in re.findall(r'"(/v3/[^"]+)"', client)}
    assert set(re.findall(r"(/v3/[a-zA-Z/]+)`", TEXT)) == used


def test_every_hot_field_is_listed() -> None:
    (sentence,) = re.findall(r"Recording is started.*?- An RTSP", TEXT, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) >= HOT_KEYS


@pytest.mark.parametrize("module", [managed, managed_program])
def test_every_reason_is_listed(module: object) -> None:
    source = Path(str(getattr(module, "__file__", ""))).read_text()
    reasons = set(re.findall(r'reason="(\w+)"', source))
    assert reasons
    assert reasons <= set(re.findall(r"`(\w+)`", TEXT))


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"from {'.'.join(map(str, OLDEST))} on" in TEXT
    assert f"SIGINT, {managed.STOP_GRACE_S:g} s" in TEXT
    assert f"within {managed.START_LIMIT_S:g} s" in TEXT


def test_the_pauses_of_publishers_are_those_of_the_code() -> None:
    first_s, longest_s = publishing.FIRST_PAUSE_S, publishing.LONGEST_PAUSE_S
    assert (
        f"restarted after {first_s:g} s, {2 * first_s:g} s, {4 * first_s:g} s and so on up to {longest_s:g} s"
        in TEXT
    )
    assert f"{publishing.STEADY_S:g} s of a live stream reset the" in TEXT
    silent_s = publishing.SILENT_S
    assert f"for {silent_s:g} s, the agent notices within {silent_s + publishing.LIVE_LOOK_S:g} s" in TEXT
    assert publishing.UNPREPARED_PAUSE_S == 1


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_agents_examples_are_valid(block: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block)
    assert load_config([file]).media_server.mode in {"managed", "external"}


@pytest.mark.real_mediamtx
async def test_the_servers_example_is_valid(tmp_path: Path) -> None:
    """But for its ports, which are the test's."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    ports = Ports.of(MediaServerConfig(api_port=0, rtsp_port=0))
    (example,) = blocks("yaml")
    text = example.replace(":9997", f":{ports.api}").replace(":8554", f":{ports.rtsp}")
    file = tmp_path / "mediamtx.yml"
    file.write_text(f"{text}hls: no\nwebrtc: no\n")
    said = b""
    async with processes.child([program, str(file)], stderr=subprocess.STDOUT, cwd=tmp_path) as process:
        assert process.stdout is not None
        with anyio.fail_after(10):
            while b"[API] started" not in said:
                try:
                    said += await process.stdout.receive()
                except anyio.EndOfStream:
                    pytest.fail(said.decode())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
async def test_the_unit_is_one(tmp_path: Path) -> None:
    (unit,) = blocks("ini")
    file = tmp_path / "mediamtx.service"
    file.write_text(unit.replace("/usr/local/bin/mediamtx ", "/bin/true "))
    done = await anyio.run_process(["systemd-analyze", "verify", str(file)], check=False)
    said = (done.stdout + done.stderr).decode()
    assert "mediamtx.service" not in said, said
