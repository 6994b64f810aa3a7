"""`plugins check` and `doctor` find plugins that `run` would refuse and plugins that fail in the running agent."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import Component, Plugin, Settings, hookimpl
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Home

#: By the plugin's name: its class, and the reason why it cannot be used.
BAD = {
    "hook_raises": (
        "@hookimpl\n    def agent_components(self): raise RuntimeError('no driver')",
        "plugin_failed",
    ),
    "hook_exits": ("@hookimpl\n    def agent_components(self): raise SystemExit(0)", "provider_raised"),
    "hook_garbage": ("@hookimpl\n    def agent_components(self): return ['lamp']", "wrong_provider"),
    "bad_name": (
        "@hookimpl\n    def agent_rpc_methods(self): return [Method('wave')]",
        "foreign_method_name",
    ),
    "bad_role": (
        "@hookimpl\n    def agent_rpc_methods(self): return [Method('bad_role.a', 'root')]",
        "unknown_role",
    ),
    "bad_topic": ("topics = ('camera.connected',)", "topic_refused"),
    "checks_exit": ("@hookimpl\n    def agent_checks(self): raise SystemExit(0)", ""),
    "check_garbage": ("@hookimpl\n    def agent_checks(self): return [Garbage()]", ""),
}
SOURCE = """
from agent_core.plugin import Check, Plugin, RpcMethod, RpcResult, Settings, hookimpl


class Method(RpcMethod):
    summary = "Wave."

    def __init__(self, name, role="viewer"):
        self.name, self.role = name, role

    async def call(self, params):
        return RpcResult()


class Garbage(Check):
    name = "garbage"

    async def look(self):
        return None
"""


@pytest.fixture
def with_bad_plugins(home: "Home") -> dict[str, str]:
    packages = home.path / "packages"
    metadata = packages / "bad_plugins-1.0.dist-info"
    metadata.mkdir(parents=True)
    classes = [f"\n\nclass P_{name}(Plugin[Settings]):\n    {body}\n" for name, (body, _) in BAD.items()]
    (packages / "bad_plugins.py").write_text(SOURCE + "".join(classes))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugins\nVersion: 1.0\n")
    lines = [f"{name} = bad_plugins:P_{name}\n" for name in BAD]
    (metadata / "entry_points.txt").write_text("[camera_agent.plugins]\n" + "".join(lines))
    enabled = json.dumps([*BAD, "virtual_camera"])
    return {"PYTHONPATH": str(packages), "CAMERA_AGENT__PLUGINS__ENABLED": enabled}


async def test_plugins_check_finds_what_run_would_refuse(
    cli: "Cli", with_bad_plugins: dict[str, str]
) -> None:
    ended = await cli("plugins", "check", "--json", env=with_bad_plugins)
    assert {row["name"]: row["reason"] for row in ended.value} == {
        **{name: reason for name, (_, reason) in BAD.items()},
        "virtual_camera": "",
    }
    assert (ended.code, ended.error["reason"]) == (1, "plugins_failed")


@pytest.mark.timeout(120)
async def test_a_plugin_that_never_returns_is_given_up(
    cli: "Cli", home: "Home", with_bad_plugins: dict[str, str]
) -> None:
    (home.path / "packages" / "bad_plugins.py").write_text("while True: pass")
    enabled = json.dumps(["bad_name", "virtual_camera"])
    ended = await cli(
        "plugins", "check", "--json", env=with_bad_plugins | {"CAMERA_AGENT__PLUGINS__ENABLED": enabled}
    )
    rows = {row["name"]: row for row in ended.value}
    assert ended.code == 1
    assert "bad_plugins.py, line 1" in rows["bad_name"]["details"]
    assert rows["virtual_camera"]["state"] == "LOADED"


async def test_doctor_finds_it_too(cli: "Cli", with_bad_plugins: dict[str, str]) -> None:
    ended = await cli("doctor", "--json", env=with_bad_plugins)
    assert ended.code == 1
    failed = {each["name"] for each in ended.value if each["status"] == "FAILED"}
    unusable = {f"plugin {name}" for name, (_, reason) in BAD.items() if reason}
    assert failed >= unusable | {"plugin checks_exit", "garbage"}
    assert "plugin virtual_camera" not in failed


class Broken(Component):
    name = "lamp"

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        task_status.started()
        raise SystemExit(0)


class Lamp(Plugin[Settings]):
    @hookimpl
    def agent_components(self) -> Iterable[Component]:
        return [Broken()]


async def test_a_component_of_the_running_agent_that_failed_is_named(cli: "Cli", home: "Home") -> None:
    storage = {"state_dir": home.state_dir, "runtime_dir": home.path / "run"}
    async with running_agent(plugins={"lamp": Lamp}, config={"storage": storage}) as agent:
        ended = await cli("doctor", "--json")
        found = {each["name"]: each for each in ended.value}
        assert (ended.code, found["agent: lamp"]["status"]) == (1, "FAILED")
        assert "SystemExit" in found["agent: lamp"]["detail"]
        assert agent.parts is not None
