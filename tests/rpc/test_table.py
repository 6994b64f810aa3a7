from typing import TYPE_CHECKING, ClassVar

import pytest

from agent_core.base.errors import (
    AgentError,
    DependencyFailed,
    FfmpegFailed,
    NotFound,
    PluginError,
    RateLimited,
)
from agent_core.plugin.abc import RpcMethod, RpcParams, RpcResult

if TYPE_CHECKING:
    from tests.toy_server import Toy


class Said(RpcResult):
    word: str


class Plugged(RpcMethod[RpcParams]):
    name: ClassVar[str] = "external_discovery.say"
    role: ClassVar[str] = "operator"
    summary: ClassVar[str] = "Say a word."
    Result: ClassVar[type[RpcResult]] = Said

    async def call(self, params: RpcParams) -> RpcResult:
        return Said(word="hello")


class InContract(Plugged):
    name: ClassVar[str] = "get_external_streams"
    role: ClassVar[str] = "viewer"


class Foreign(Plugged):
    name: ClassVar[str] = "say"


class Clash(Plugged):
    name: ClassVar[str] = "echo"


class BadRole(Plugged):
    role: ClassVar[str] = "root"


class Failing(Plugged):
    """Fails with `error`."""

    errors: ClassVar[tuple[type[AgentError], ...]] = (DependencyFailed,)

    def __init__(self, error: AgentError) -> None:
        self.error = error

    async def call(self, params: RpcParams) -> RpcResult:
        raise self.error


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (FfmpegFailed("No."), []),
        (RateLimited("No.", retry_after_ms=1), []),  # any call may be
        (PluginError("No."), []),  # an internal error for clients
        (
            NotFound("No.", resource="word", id="x"),
            ["external_discovery.say raised an error that it does not declare: Not found (No.)"],
        ),
    ],
)
async def test_an_error_that_is_not_declared_is_logged_as_a_bug(
    toy: "Toy", undeclared: list[str], error: AgentError, logged: list[str]
) -> None:
    toy.table.add_plugin_methods("external_discovery", [Failing(error)])
    async with toy.peer() as peer:
        await peer.call("authenticate", auth_token=toy.token())
        assert (await peer.error("external_discovery.say"))["code"] <= -32010
    assert undeclared == logged
    undeclared.clear()


async def test_a_plugins_methods_answer_like_the_cores(toy: "Toy") -> None:
    toy.table.add_plugin_methods("external_discovery", [Plugged(), InContract()])
    async with toy.peer() as peer:
        assert (await peer.error("external_discovery.say"))["code"] == -32001
        await peer.call("authenticate", auth_token=toy.token())
        assert await peer.result("external_discovery.say") == {"word": "hello"}
        assert await peer.result("get_external_streams") == {"word": "hello"}


async def test_a_method_of_an_absent_plugin_says_so(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await peer.call("authenticate", auth_token=toy.token())
        error = await peer.error("get_external_streams", whatever=1)
    assert (error["code"], error["data"]["feature"]) == (-32030, "external_discovery")
    assert "plugins.enabled" in error["data"]["suggestion"]


@pytest.mark.parametrize(
    ("method", "plugin", "reason"),
    [
        (Foreign(), "external_discovery", "foreign_method_name"),
        (Clash(), "external_discovery", "name_clash"),
        (InContract(), "other", "name_clash"),
        (BadRole(), "external_discovery", "unknown_role"),
    ],
)
def test_a_plugin_cannot_take_names(toy: "Toy", method: Plugged, plugin: str, reason: str) -> None:
    before = len(toy.table)
    with pytest.raises(PluginError) as caught:
        toy.table.add_plugin_methods(plugin, [Plugged(), method] if plugin != "other" else [method])
    assert caught.value.reason == reason
    assert len(toy.table) == before


def test_the_cores_own_clash_is_a_programming_error(toy: "Toy") -> None:
    with pytest.raises(ValueError, match="ping"):
        toy.table.add(next(each for each in toy.table if each.name == "ping"))


async def test_an_unknown_method_gets_the_nearest_names(toy: "Toy") -> None:
    async with toy.peer() as peer:
        assert (await peer.error("authentcate"))["data"]["hint"] == "Did you mean 'authenticate'?"
        assert (await peer.error("zz/dev/video0"))["code"] == -32601


async def test_roles_are_hierarchical(toy: "Toy") -> None:
    from agent_core.auth.roles import Role

    async with toy.peer() as peer:
        assert (await peer.error("echo", text="x"))["code"] == -32001
        await peer.call("authenticate", auth_token=toy.token(Role.VIEWER))
        assert await peer.result("echo", text="x") == {"text": "x"}
        error = await peer.error("wipe")
        assert (error["code"], error["message"]) == (-32002, "Permission denied")
        assert (error["data"]["required_role"], error["data"]["have_role"]) == ("admin", "viewer")
        await peer.call("authenticate", auth_token=toy.token(Role.ADMIN))
        assert await peer.result("wipe") == {"text": "it is [device], or so"}


async def test_results_are_what_was_declared(toy: "Toy", caplog: pytest.LogCaptureFixture) -> None:
    async with toy.peer() as peer:
        wrong = await peer.error("wrong")
        bug = await peer.error("bug")
        grouped = await peer.error("grouped")
        refused = await peer.error("refused")
    assert wrong["code"] == bug["code"] == -32603
    assert bug["data"]["request_id"] in bug["data"]["suggestion"]
    logged = {
        record.__dict__["fields"]["request_id"] for record in caplog.records if "fields" in record.__dict__
    }
    assert {wrong["data"]["request_id"], bug["data"]["request_id"]} == logged
    assert grouped["data"]["detail"] == "cannot open [device] busy"
    assert refused["data"]["allowed_states"] == ["IDLE"]
