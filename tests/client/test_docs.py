"""The examples of `docs/client.md` run."""

import inspect
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

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/client.md").read_text()
API = (ROOT / "docs/api.md").read_text()
#: Methods of the contract that the client has in another form, as the text says.
OTHERWISE = {"rpc.discover", "authenticate", "subscribe_events", "unsubscribe_events"}


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


@pytest.mark.parametrize("kind", [client.AgentClient, client.SyncAgentClient])
def test_each_method_of_the_agent_is_one_of_the_client_with_the_same_parameters(kind: type) -> None:
    methods = re.findall(
        r"^\| `([a-z_.]+)` \| (?:none|viewer|operator|admin) \|.*\|.*\|.*\|$", API, re.MULTILINE
    )
    of_plugins = re.findall(r"^\| `([a-z_]+)` \| \w+ \| `external_discovery` \|", API, re.MULTILINE)
    params = re.findall(r"^\| `([a-z_.]+)` \| `([a-z_]+)` \|", API, re.MULTILINE)
    own = {*methods} - {*of_plugins} - OTHERWISE
    assert len(own) > 25
    for name in own:
        wanted = {param for method, param in params if method == name}
        assert {*inspect.signature(getattr(kind, name)).parameters} - {"self"} == wanted, name
    assert callable(getattr(kind, "discover", None))
    assert "token" in inspect.signature(kind.authenticate).parameters  # type: ignore[attr-defined]


def test_the_defaults_in_the_text_are_those_of_the_code() -> None:
    shown = {name: float(value) for name, value in re.findall(r"`([a-z_]+)` \(([0-9.]+)\)", DOCS)}
    policy = {name: getattr(client.Reconnect(), name) for name in client.Reconnect.__dataclass_fields__}
    arguments = {
        name: each.default for name, each in inspect.signature(client.AgentClient.__init__).parameters.items()
    }
    assert len(shown) > 5
    assert shown.items() <= {**policy, **arguments}.items()
    in_script = dict(
        re.findall(
            r"^  ([a-zA-Z]+Ms): ([0-9_]+),", (ROOT / "clients/javascript/client.js").read_text(), re.MULTILINE
        )
    )
    for name, value in re.findall(r"`([a-z]+[A-Za-z]*Ms)`\s*\(([0-9]+)", DOCS):
        assert in_script[name].replace("_", "") == value
