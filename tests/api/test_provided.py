"""The names that plugins bring to the wire are checked before anything is wired."""

from typing import Any, ClassVar

import pytest

from agent_core.api.placeholders import CONTRACT_METHODS
from agent_core.api.provided import check_provided
from agent_core.base.errors import PluginError
from agent_core.plugin.abc import RpcMethod, RpcParams, RpcResult
from agent_core.plugin_host.models import Providers


def method(**attributes: object) -> RpcMethod[Any]:
    async def call(self: object, params: RpcParams) -> RpcResult:
        return RpcResult()

    whole = {"name": "hello.wave", "role": "viewer", "summary": "Wave.", "call": call} | attributes
    made: RpcMethod[Any] = type("Made", (RpcMethod,), {k: v for k, v in whole.items() if v is not ...})()
    return made


class Twice:
    methods: ClassVar[tuple[RpcMethod[Any], ...]] = (method(), method())


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ((method(name="wave"),), "foreign_method_name"),
        ((method(name="hello.Wave it"),), "foreign_method_name"),
        ((method(name="hello."),), "foreign_method_name"),
        ((method(name="other.wave"),), "foreign_method_name"),
        ((method(name="ping"),), "foreign_method_name"),
        ((method(name="add_external_stream"),), "foreign_method_name"),
        ((method(name=None),), "foreign_method_name"),
        ((method(name=...),), "foreign_method_name"),
        (Twice.methods, "name_clash"),
        ((method(role="root"),), "unknown_role"),
        ((method(role=...),), "unknown_role"),
        ((method(role=["viewer"]),), "unknown_role"),
        ((method(summary=...),), "no_summary"),
        ((method(Params=dict),), "wrong_type"),
        ((method(Result=None),), "wrong_type"),
        ((method(errors=PluginError),), "wrong_type"),
        ((method(errors=(ValueError,)),), "wrong_type"),
    ],
)
def test_a_method_that_cannot_be_added(methods: tuple[RpcMethod[Any], ...], reason: str) -> None:
    with pytest.raises(PluginError) as caught:
        check_provided(Providers("hello", methods=methods))
    assert caught.value.reason == reason
    assert "hello" in caught.value.details


@pytest.mark.parametrize("topic", ["waved", "other.waved", "hello.Waved", "hello.", "camera.connected"])
def test_a_topic_that_cannot_be_added(topic: str) -> None:
    with pytest.raises(PluginError) as caught:
        check_provided(Providers("hello", topics=(topic,)))
    assert caught.value.reason == "topic_refused"


@pytest.mark.parametrize("plugin", ["rpc", "camera", "recording", "system"])
def test_a_plugin_cannot_have_the_name_of_the_cores_own(plugin: str) -> None:
    with pytest.raises(PluginError) as caught:
        check_provided(Providers(plugin, topics=(f"{plugin}.connected",)))
    assert caught.value.reason == "reserved_name"


def test_what_is_its_own_or_given_to_it_by_the_contract_is_fine() -> None:
    check_provided(Providers("hello", methods=(method(),), topics=("hello.waved",)))
    for name, plugin in CONTRACT_METHODS.items():
        check_provided(Providers(plugin, methods=(method(name=name),)))
