"""Methods declared prompt are answered by the reading task, so they must not be able to wait."""

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING

from agent_core.api.contract import core_methods
from agent_core.testing import running_agent

if TYPE_CHECKING:
    from tests.toy_server import Toy


async def test_prompt_methods_await_nothing(toy: "Toy") -> None:
    async with running_agent() as agent:
        core = core_methods(agent.parts.controller, toy.links)
    prompt = [method for method in (*core, *toy.table) if method.prompt]
    assert {"get_camera_list", "get_system_status", "ping", "subscribe_events"} <= {
        method.name for method in prompt
    }
    for method in prompt:
        if method.name == "authenticate":
            continue  # the calls behind it depend on its result
        source = ast.parse(textwrap.dedent(inspect.getsource(method.handler)))
        waits = [
            node for node in ast.walk(source) if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
        ]
        assert not waits, f"{method.name} is declared prompt, but can wait"
