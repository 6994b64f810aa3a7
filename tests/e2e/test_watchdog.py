"""A plugin that freezes the agent: the process ends, names the plugin, and after three times runs without it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.conftest import AgentProcess, AgentProcessFactory

#: Each stops the event loop in its own way; the plugin reads which from a file, so that its settings stay the same.
FREEZES = {
    "busy loop": "while True: pass",
    "regular expression": "re.fullmatch('(a|aa)+', 'a' * 80 + 'b')",
    "call into C": "collections.deque(itertools.repeat(1), maxlen=0)",  # never looks at signals
    "foreign call": "ctypes.PyDLL(None).sleep(600)",  # PyDLL keeps the interpreter's lock
    "sleep": "time.sleep(600)",
}
PLUGIN = """
import collections, ctypes, itertools, pathlib, re, sys, time

import anyio
from agent_core.plugin import CameraSource, Component, DetectedCamera, Fingerprint, Plugin, Settings, hookimpl


class FreezingSettings(Settings):
    how: str
    size: int = 1


class Freezing(Component):
    name = "freezing"

    def __init__(self, how):
        self._how = pathlib.Path(how)

    async def run(self, *, task_status):
        task_status.started()
        while not self._how.exists():
            await anyio.sleep(0.01)
        exec(compile(self._how.read_text(), __file__, "exec"))


class FreezingPlugin(Plugin[FreezingSettings]):
    Settings = FreezingSettings

    @hookimpl
    def agent_components(self):
        return [Freezing(self.settings.how)]


class Lonely(CameraSource):
    name = "lonely"

    async def watch(self, report, *, task_status):
        report.connected(DetectedCamera("one", "One", Fingerprint("lonely", "1"), None))
        task_status.started()
        await anyio.sleep_forever()


class LonelyPlugin(FreezingPlugin):
    @hookimpl
    def agent_camera_sources(self):
        return [Lonely()]
"""


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    """An environment in which both plugins are installed."""
    folder = tmp_path / "packages"
    metadata = folder / "freezing-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "freezing.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: freezing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nfreezing = freezing:FreezingPlugin\nlonely = freezing:LonelyPlugin\n"
    )
    return {"PYTHONPATH": str(folder)}


def config(how: Path, *names: str, **more: object) -> str:
    tables = [f"[plugins.{name}]\nhow = {json.dumps(str(how))}" for name in names if name != "virtual_camera"]
    health = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(
        ["[health]", "watchdog_s = 6", *health, "[plugins]", f"enabled = {json.dumps(names)}", *tables]
    )


async def ended(agent: AgentProcess) -> tuple[int, str]:
    """Wait for the end, after which what says where the agent listens is left over."""
    with anyio.fail_after(60):
        code = await agent.process.wait()
    (agent.folder / "state" / "endpoint.json").unlink(missing_ok=True)
    return code, agent.log


async def command(agent: AgentProcess, packages: dict[str, str], *words: str) -> Any:
    argv = [
        sys.executable,
        "-m",
        "agent_core",
        *words,
        "--json",
        "--config",
        str(agent.folder / "config.toml"),
    ]
    done = await anyio.run_process(argv, env={**os.environ, **packages}, check=False, stderr=subprocess.PIPE)
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
async def test_three_freezes_are_a_quarantine_that_other_settings_end(
    agent_process: AgentProcessFactory, packages: dict[str, str], tmp_path: Path
) -> None:
    how = tmp_path / "how"
    whole = config(how, "freezing", "virtual_camera")
    for kind in ("busy loop", "regular expression", "call into C"):
        how.write_text(FREEZES[kind])
        async with agent_process(whole, environment=packages) as agent:
            code, log = await ended(agent)
            assert code == 1, log
            assert "freezing.py" in log, kind
            if kind != "call into C":  # there Python cannot say more; the stack is what is said
                assert "because of the plugin 'freezing' (freezing.py, line " in log
            (plugin, _) = [
                each for each in await command(agent, packages, "plugins", "list") if each["name"] in whole
            ]
            assert plugin["name"] == "freezing"
    assert plugin["state"] == "QUARANTINED"
    async with agent_process(whole, environment=packages) as agent, agent.client("admin") as client:
        assert "because of the plugin 'freezing' (freezing.py, line " in agent.log
        told = {each["name"]: each for each in (await client.call("get_server_info"))["plugins"]}
        assert told["freezing"]["status"] == "QUARANTINED"
        assert "3 times within 10 minutes" in told["freezing"]["details"]
        assert told["virtual_camera"]["status"] == "LOADED"
        assert "freezing" not in (await client.call("get_status"))["components"]
        found = {each["name"]: each for each in await command(agent, packages, "doctor")}
        assert found["plugin freezing"]["status"] == "FAILED"
        assert "quarantine" in found["plugin freezing"]["detail"]
        await agent.end()
    how.unlink()
    changed = whole.replace("[plugins.freezing]", "[plugins.freezing]\nsize = 2")
    async with agent_process(changed, environment=packages) as agent, agent.client("admin") as client:
        assert (await client.call("get_status"))["components"]["freezing"] == "RUNNING"
        assert await agent.end() == 0


@pytest.mark.timeout(180)
async def test_a_frozen_agent_ends_by_the_watchdog_though_it_ignores_signals(
    agent_process: AgentProcessFactory, packages: dict[str, str], tmp_path: Path
) -> None:
    how = tmp_path / "how"
    async with agent_process(config(how, "freezing", "virtual_camera"), environment=packages) as agent:
        async with agent.client():
            how.write_text(FREEZES["sleep"])
        agent.process.send_signal(signal.SIGTERM)
        code, log = await ended(agent)
        assert code in {0, 1}, log  # 0 where the signal came before the freeze
        if code:
            assert "freezing.py" in log


@pytest.mark.timeout(180)
async def test_a_second_interrupt_ends_a_frozen_agent_at_once(
    agent_process: AgentProcessFactory, packages: dict[str, str], tmp_path: Path
) -> None:
    how = tmp_path / "how"
    patient = config(how, "freezing").replace("watchdog_s = 6", "watchdog_s = 600")
    async with agent_process(patient, environment=packages) as agent:
        await agent.url()
        how.write_text(f"pathlib.Path({str(tmp_path / 'frozen')!r}).touch()\nwhile True: pass")
        with anyio.fail_after(60):
            while not (tmp_path / "frozen").exists():
                await anyio.sleep(0.01)
            while agent.process.returncode is None:
                agent.process.send_signal(signal.SIGINT)
                with anyio.move_on_after(1.5):
                    await agent.process.wait()
        assert agent.process.returncode == 1
        assert "interrupted twice" in agent.log
        assert "because of the plugin 'freezing'" in agent.log
    async with agent_process(patient, environment=packages) as agent:  # which is no freeze that counts
        assert not [each for each in await command(agent, packages, "doctor") if each["name"] == "last run"]


@pytest.mark.timeout(180)
async def test_a_plugin_that_freezes_when_it_is_imported_is_found_too(
    agent_process: AgentProcessFactory, packages: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "packages" / "freezing.py").write_text("while True: pass")
    short = config(tmp_path / "how", "freezing").replace("watchdog_s = 6", "watchdog_s = 2")
    async with agent_process(short, environment=packages) as agent:
        code, log = await ended(agent)
        assert code == 1
        assert "because of the plugin 'freezing' (freezing.py, line 1, in <module>)" in log


async def test_systemds_watchdog_is_fed_and_ours_comes_first(
    agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "20000000"}
        async with agent_process("", environment=environment) as agent:
            told: list[bytes] = []
            with anyio.fail_after(60):
                while b"READY=1" not in told or told[told.index(b"READY=1") :].count(b"WATCHDOG=1") < 2:
                    await anyio.wait_readable(systemd)
                    told.append(systemd.recv(100))
            record = json.loads((agent.folder / "state" / "watchdog.txt").read_text())
            assert record["timeout_s"] == 15.0
            assert await agent.end() == 0
