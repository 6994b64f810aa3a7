"""Every error code that a method declares, produced by a call: the cells of the table that the suite prints."""

from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest

from agent_core.testing import WHOLE_CONTRACT, document_of, running_agent
from tests.error_faults import Cells, Observe, code_of, provoke_all

INVALID, LIMITED, NOBODY, DENIED, BUG = -32602, -32040, -32001, -32002, -32603
#: What any call can end with. tests/rpc/test_errors.py produces BUG, by methods that are wrong on purpose.
OF_ANY_CALL = {INVALID, LIMITED, NOBODY, DENIED, BUG}


def roles_below(role: str) -> Iterator[str]:
    """Yield the roles that may not call a method of this role."""
    order = ("none", "viewer", "operator", "admin")
    yield from order[1 : order.index(role)] if role != "none" else ()


@pytest.fixture(scope="module")
def methods() -> Mapping[str, Any]:
    return {each["name"]: each for each in anyio.run(document_of)["methods"]}


def declared(method: Any) -> set[int]:
    return {each["code"] for each in method["errors"]}


async def test_no_method_answers_without_its_role(methods: Mapping[str, Any], observe: Observe) -> None:
    async with running_agent(config=WHOLE_CONTRACT, observe=observe) as agent:
        async with agent.client(None) as nobody:
            for name, method in methods.items():
                if method["x-role"] != "none":
                    assert await code_of(nobody, name, {}) == NOBODY, name
        for role in ("viewer", "operator"):
            async with agent.client(role) as client:
                for name, method in methods.items():
                    if role in roles_below(method["x-role"]):
                        assert await code_of(client, name, {}) == DENIED, (name, role)


async def test_every_method_refuses_unknown_params(methods: Mapping[str, Any], observe: Observe) -> None:
    async with (
        running_agent(config=WHOLE_CONTRACT, observe=observe) as agent,
        agent.client("admin") as client,
    ):
        for name, method in methods.items():
            assert INVALID in declared(method), name
            assert await code_of(client, name, {"no_such_parameter": 1}) == INVALID, name


async def test_every_method_has_the_limit_of_calls(methods: Mapping[str, Any], observe: Observe) -> None:
    few = {
        **WHOLE_CONTRACT,
        "auth": {"keys_over_network": True, "calls_per_s": 0.001, "calls_burst": 1, "failures_per_minute": 1},
    }
    guarded = [name for name, method in methods.items() if method["x-role"] != "none"]
    async with running_agent(config=few, observe=observe) as agent:
        async with agent.client("admin") as client:
            await code_of(client, "get_status", {})
        # Each refusal makes the agent read a connection more slowly, up to a second per call.
        for start in range(0, len(guarded), 4):
            async with agent.client("admin") as client:
                for name in guarded[start : start + 4]:
                    assert LIMITED in declared(methods[name]), name
                    assert await code_of(client, name, {}) == LIMITED, name
        async with agent.client(None) as nobody:
            await code_of(nobody, "ping", {})
            assert await code_of(nobody, "authenticate", {"auth_token": "x"}) == NOBODY
            for name, method in methods.items():
                if method["x-role"] == "none":
                    assert LIMITED in declared(method), name
                    assert await code_of(nobody, name, {"auth_token": "x"}) == LIMITED, name


@pytest.mark.timeout(400)
async def test_every_declared_code_of_a_method_is_produced(
    methods: Mapping[str, Any], observe: Observe
) -> None:
    own = frozenset(
        (name, code) for name, method in methods.items() for code in declared(method) - OF_ANY_CALL
    )
    cells = Cells(methods, own)
    # Some answers depend on what a watch or a sweep of the agent has noticed by then: they come in one of three rounds.
    for _ in range(3):
        await provoke_all(cells, observe)
        if not cells.missing:
            break
        cells.only_missing()
    assert cells.missing == []
