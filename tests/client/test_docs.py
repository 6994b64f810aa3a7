"""The examples of `docs/client.md` run."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core import client
from agent_core.client import errors
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.conftest import ToyAgent

DOCS = (Path(__file__).parents[2] / "docs/client.md").read_text()


async def test_the_python_example(toy: "ToyAgent", tmp_path: Path) -> None:
    (example,) = re.findall(r"<!-- example.*?-->\n```python\n(.*?)```", DOCS, re.DOTALL)
    environment = {"CAMERA_AGENT_URL": toy.url, "CAMERA_AGENT_TOKEN": toy.token()}
    with anyio.fail_after(30):
        done = await anyio.run_process(
            [sys.executable, "-c", example], env=environment, cwd=tmp_path, check=False
        )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines()[0] == "camera0 CONNECTED"
    assert (tmp_path / "front.jpg").read_bytes() == (toy.snapshots / "camera0/a b.jpg").read_bytes()


CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
    }
}
EXAMPLES = re.findall(r"^```python\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
#: What each example prints, in its order.
PRINTED = (
    r"camera0 CONNECTED\n",
    r"camera0 CONNECTED\n",
    r"snapshot\.taken camera0\n",
    r"pong\n",
    r"640x480\nsnapshot\.taken camera0/.*\nnothing more\n",
)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_each_python_example_runs_against_an_agent(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    async with running_agent(config=CONFIG) as agent:
        environment = {"CAMERA_AGENT_URL": agent.url, "CAMERA_AGENT_TOKEN": agent.token("operator")}
        with anyio.fail_after(60):
            done = await anyio.run_process(
                [sys.executable, "-c", EXAMPLES[number]], env=environment, cwd=folder, check=False
            )
    assert done.stderr == b""
    assert re.fullmatch(PRINTED[number], done.stdout.decode())


def test_every_error_of_the_client_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)`", DOCS, re.MULTILINE))
    kinds = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert explained == kinds - {"ClientError"}


def test_the_names_in_the_text_exist() -> None:
    """Attributes and methods that the text shows in code are those of the clients, their streams or their policy."""
    shown = set(re.findall(r"`(?:\w+\.)?([a-z_]+)\(", DOCS.partition("## A browser")[0]))
    known = {*dir(client.AgentClient), *dir(client.SyncEventStream), *dir(client.Reconnect), "fail_after"}
    assert shown <= known
    policy = re.findall(r"`([a-z_]+_s|factor|jitter|attempts|repeat_reads)`", DOCS)
    assert set(policy) >= set(client.Reconnect.__dataclass_fields__) - {"repeat_reads"}
