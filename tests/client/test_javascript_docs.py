"""The examples in JavaScript of `docs/client.md` run, under Node, against an agent."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from agent_core.testing import RunningAgent, running_agent

#: More than the limit of a program, whose output then tells how far it came.
pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/client.md").read_text()
#: `make node` makes it.
MODULES = ROOT / ".cache/node/node_modules"
CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
    }
}
#: Gives Node before version 22 the WebSocket of browsers.
SOCKET = (
    'import { createRequire } from "node:module"; globalThis.WebSocket = createRequire(%s)("ws").WebSocket;\n'
)
#: What a browser has and Node lacks. The picture tells its address, and ends the program.
PAGE = """
globalThis.prompt = () => %s;
const picture = { set src(url) { console.log(String(url)); process.exit(); } };
globalThis.document = { getElementById: (id) => (id === "picture" ? picture : null) };
"""


@pytest.fixture
async def agent(observe: Callable[[str], None]) -> AsyncIterator[RunningAgent]:
    if shutil.which("node") is None or not (MODULES / "ws").is_dir():
        pytest.skip("no Node with npm's ws: install them and run `make node`")
    async with running_agent(config=CONFIG, observe=observe) as agent:
        yield agent


async def run(program: str, folder: Path) -> str:
    """Run a module under Node and return what it prints; it must not complain."""
    path = folder / "program.mjs"
    path.write_text(SOCKET % json.dumps(f"{MODULES}/") + program)
    with anyio.fail_after(60):
        done = await anyio.run_process(["node", str(path)], check=False)
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    return done.stdout.decode().strip()


async def expect_picture(agent: RunningAgent, url: str) -> None:
    assert url.startswith(f"{agent.http_url}/files/snapshots/camera0/")
    async with agent.client() as client:
        assert (await client.download(url)).startswith(b"\xff\xd8")


async def test_the_example_with_the_module(agent: RunningAgent, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```js\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
    replaced = {
        "./client.js": (ROOT / "clients/javascript/client.js").as_uri(),
        "ws://192.0.2.20:8002/ws": agent.url,
        '"TOKEN"': json.dumps(agent.token("operator")),
    }
    for shown, real in replaced.items():
        assert shown in example
        example = example.replace(shown, real)
    await expect_picture(agent, await run(f"const show = console.log;\n{example}", tmp_path))


async def test_the_page(agent: RunningAgent, tmp_path: Path) -> None:
    (script,) = re.findall(r"<script>\n(.*?)</script>", DOCS, re.DOTALL)
    assert "127.0.0.1:8002" in script
    program = script.replace("127.0.0.1:8002", agent.http_url.removeprefix("http://"))
    await expect_picture(agent, await run(PAGE % json.dumps(agent.token("operator")) + program, tmp_path))
