"""Two real agents behind a real Mosquitto, driven by the command line alone, over the death of the broker."""

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.waiting import eventually

from .mosquitto import Mosquitto, running_mosquitto

pytestmark = pytest.mark.timeout(240)

PLUGINS = ("virtual_camera", "ffmpeg_tier", "embedded_server", "mqtt_bridge")


@dataclass
class Operator:
    """Person with a shell, a fleet key and a broker."""

    broker: Mosquitto
    folder: Path
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    async def run(self, *words: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        """Run `camera-agent`, which must end with `code`; return its output."""
        environment = {
            "HOME": str(self.folder),
            "PATH": os.environ["PATH"],
            "CAMERA_AGENT_MQTT_KEY_FILE": str(self.folder / "operators.key"),
            **(env or {}),
        }
        with anyio.fail_after(90):
            done = await anyio.run_process(
                [sys.executable, "-m", "agent_core", *words], check=False, cwd=self.folder, env=environment
            )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout.decode()

    async def fleet(self, *words: str, code: int = 0, env: Mapping[str, str] | None = None) -> list[Any]:
        """Run a command of the fleet; return its output as one JSON value per line."""
        out = await self.run("--mqtt", self.broker.url, "fleet", *words, "--json", code=code, env=env)
        return [json.loads(line) for line in out.splitlines()]

    async def answers(
        self, *words: str, code: int = 0, env: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Run a command of the fleet; return its answers by agent, and the summary under its own name."""
        *answers, summary = await self.fleet(*words, code=code, env=env)
        by_agent = {each["agent"]: each.get("result", each.get("error")) for each in answers}
        return {**by_agent, **summary}

    async def online(self) -> dict[str, str]:
        (found,) = await self.fleet("list")
        return {each["agent"]: each["state"] for each in found}

    @asynccontextmanager
    async def agent(self, name: str, **labels: str) -> AsyncIterator[RunningAgent]:
        """Run an agent to which this person has given its keys."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        state = {"CAMERA_AGENT__STORAGE__STATE_DIR": str(folder / "state")}
        for user, role in (("operators", "operator"), ("viewers", "viewer")):
            fleet_key = {"CAMERA_AGENT_MQTT_KEY_FILE": str(self.folder / f"{user}.key")}
            key = folder / f"{user}.key"
            key.write_text(await self.run("fleet", "agent-key", name, env=fleet_key))
            key.chmod(0o600)
            words = (
                "key",
                "create",
                "--kind",
                "mqtt",
                "--user",
                user,
                "--role",
                role,
                "--key-file",
                str(key),
            )
            await self.run(*words, env=state)
        config = {
            "storage": {"recordings_dir": folder / "recordings", "snapshots_dir": folder / "snapshots"},
            "plugins": {
                "enabled": PLUGINS,
                "virtual_camera": {
                    "cameras": [{"name": "Test", "id": "camera0", "width": 320, "height": 240, "fps": 15}]
                },
                "embedded_server": {"api_port": 0, "rtsp_port": 0},
                "mqtt_bridge": {
                    "url": self.broker.url,
                    "agent_id": name,
                    "labels": labels,
                    # The clock of a machine that tests run on need not be synchronised.
                    "commands": {"trust_clock": True},
                },
            },
        }
        async with running_agent(config=config, folder=folder) as agent:
            yield agent


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with running_mosquitto(tmp_path / "broker", lines=("set_tcp_nodelay true",)) as broker:
        made = Operator(broker, tmp_path)
        for name in ("operators", "viewers"):
            await made.run("fleet", "new-key", "-o", f"{name}.key")
        yield made


async def test_the_story_of_a_fleet(operator: Operator) -> None:
    async with operator.agent("box1", site="north"), AsyncExitStack() as second:
        await second.enter_async_context(operator.agent("box2", site="south"))

        async def both() -> bool:
            return await operator.online() == {"box1": "online", "box2": "online"}

        await eventually(both, timeout_s=60)
        (north,) = await operator.fleet("list", "site=north")
        assert [each["agent"] for each in north] == ["box1"]

        pictures = operator.folder / "pictures"
        await operator.fleet("snapshot", "all", "-o", "pictures")
        stored = sorted(path.name for path in pictures.iterdir())
        assert [name.split("_")[0] for name in stored] == ["box1", "box2"]
        assert all((pictures / name).read_bytes().startswith(b"\xff\xd8") for name in stored)

        viewer = {"CAMERA_AGENT_MQTT_KEY_FILE": str(operator.folder / "viewers.key")}
        refused = await operator.answers(
            "call", "box1", "start_recording", "device=camera0", code=1, env=viewer
        )
        assert refused["box1"]["code"] == -32002
        listed = await operator.answers("call", "box1", "get_camera_list", env=viewer)
        assert listed["box1"]["connected"] == 1

        started = await operator.answers("call", "site=north", "start_recording", "device=camera0")
        assert started["summary"]["done"] == 1

        await operator.broker.kill()
        await operator.run("--mqtt", operator.broker.url, "fleet", "list", code=3)
        await operator.broker.start()
        await eventually(both, timeout_s=90)

        stopped = await operator.answers("call", "box*", "stop_recording", "device=camera0", code=1)
        assert stopped["box1"]["filename"] == started["box1"]["filename"]
        assert stopped["box1"]["duration"] > 0
        assert stopped["summary"] == {"agents": 2, "done": 1, "failed": ["box2"], "unanswered": []}

        await second.aclose()
        told = await operator.answers("call", "all", "get_camera_list", code=1)
        assert told["summary"] == {"agents": 2, "done": 1, "failed": [], "unanswered": ["box2"]}
        assert told["box2"]["reason"] == "offline"
