"""The controller is the one door: `api` and `web` import values only, and no service is reached through it."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from agent_core.base.clock import SystemClock
from agent_core.controller import Controller, Services
from agent_core.testing import running_agent

ROOT = Path(__file__).parents[2] / "agent_core"
#: Packages whose modules do something.
SERVICES = ("cameras", "health", "mediamtx", "plugin_host", "recordings", "snapshots", "streams")
#: Their modules that hold values, which `api` and `web` may import.
VALUES = {
    "agent_core.health.models",
    "agent_core.plugin_host.models",
    "agent_core.recordings.models",
    "agent_core.snapshots.models",
    "agent_core.streams.models",
}
#: What the controller is made from; the composition root's business.
MADE_FROM = {"Services"}
CALLERS = [path for package in ("api", "web") for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each import; imports for types only count too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def is_service_module(module: str) -> bool:
    top, _, rest = module.partition(".")
    return top == "agent_core" and rest.partition(".")[0] in SERVICES


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_api_and_web_import_no_service(path: Path) -> None:
    for module, name in imported(path):
        through = {module, f"{module}.{name}"}  # `from agent_core.streams import models` as well
        if any(is_service_module(each) for each in through):
            assert through & VALUES, f"{path.name} imports {name or module} from {module}"
        if module == "agent_core.controller":
            assert name not in MADE_FROM


def test_modules_of_values_do_nothing() -> None:
    """A module in the list above holds types and constants: no coroutine, no task, no service among its imports."""
    for module in sorted(VALUES):
        path = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
        tree = ast.parse(path.read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
        assert not [name for name, _ in imported(path) if name.partition(".")[0] in {"anyio", "asyncio"}]


def test_nothing_leads_through_the_controller() -> None:
    assert "__getattr__" not in vars(Controller)
    assert "__getattribute__" not in vars(Controller)
    assert Controller.__mro__ == (Controller, object)
    for name, member in inspect.getmembers_static(Controller):
        if not name.startswith("_"):
            assert inspect.isfunction(member), f"{name} is not a method"
    assert list(inspect.signature(Controller).parameters) == ["services"]


async def test_no_public_attribute_and_no_result_is_a_service() -> None:
    """The controller of a whole agent, whose questions without parameters are asked as well."""
    async with running_agent(config={"plugins": {"enabled": ["virtual_camera"]}}) as agent:
        controller = agent.parts.controller
        services = next(each for each in vars(controller).values() if isinstance(each, Services))
        parts = {id(getattr(services, field.name)): field.name for field in fields(Services)}
        assert not [name for name in vars(controller) if not name.startswith("_")]
        asked = 0
        for name, method in inspect.getmembers(controller, inspect.ismethod):
            has_parameters = bool(inspect.signature(method).parameters)
            if name.startswith("_") or has_parameters or inspect.iscoroutinefunction(method):
                continue
            asked += 1
            for value in reached(method()):
                # An empty tuple and False are one object for all; these two are values anyway.
                service = parts.get(id(value), "problems")
                assert service in {"problems", "safe_mode"}, f"{name} gives away {service}"
        assert asked >= 6


def reached(value: object) -> Iterator[object]:
    """Yield `value` and what it holds, as far as dataclasses and tuples go."""
    yield value
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from reached(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from reached(each)


async def test_the_test_above_would_see_a_service() -> None:
    clock = SystemClock()
    assert any(each is clock for each in reached(("x", (clock,))))
