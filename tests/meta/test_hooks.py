"""Each hook is documented with its exact arguments, and tested by name."""

import inspect
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent_core.config import is_hot
from agent_core.plugin import spec
from agent_core.plugin_host.selection import installed_versions, plugin_class

ROOT = Path(__file__).parents[2]
HOOKS = [name for name in vars(spec) if name.startswith("agent_")]
DOCS = (ROOT / "docs/plugins.md").read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_heading_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(spec, hook)).parameters)
    assert f"### `{hook}({arguments})`" in DOCS


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_used_in_a_test(hook: str) -> None:
    tests = [path for folder in ("tests", "plugins", "examples") for path in (ROOT / folder).rglob("*.py")]
    assert any(re.search(rf"def {hook}\b", path.read_text()) for path in tests)


@pytest.mark.parametrize("name", sorted(installed_versions()))
def test_a_plugin_with_marked_settings_takes_them_over(name: str) -> None:
    plugin = plugin_class(name)
    assert has_hot(plugin.Settings) == hasattr(plugin, "agent_reload")


def has_hot(model: type[BaseModel]) -> bool:
    fields = [field.annotation for field in model.model_fields.values()]
    tables = [each for each in fields if isinstance(each, type) and issubclass(each, BaseModel)]
    return any(is_hot(model, name) for name in model.model_fields) or any(map(has_hot, tables))


def test_no_heading_describes_a_hook_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `(agent_\w+)\(", DOCS, re.MULTILINE)) == set(HOOKS)


def test_what_plugins_implement_is_described() -> None:
    for provider in ("CameraSource", "SnapshotTier", "Component", "RpcMethod", "Plugin", "Settings"):
        assert f"`{provider}`" in DOCS
