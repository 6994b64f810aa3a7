"""Placeholders for methods of the contract that belong to a plugin."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ConfigDict

from agent_core.auth.roles import Role
from agent_core.base.errors import Unsupported
from agent_core.plugin.abc import RpcParams
from agent_core.rpc.table import Caller, Method

__all__ = ("CONTRACT_METHODS", "contract_placeholder", "placeholders")

#: Methods of the contract that the plugin external_discovery implements, with their roles.
_EXTERNAL: tuple[tuple[str, Role, str], ...] = (
    ("discover_external_streams", Role.OPERATOR, "Search for network and UAV streams."),
    ("add_external_stream", Role.OPERATOR, "Add a network stream as a camera."),
    ("remove_external_stream", Role.OPERATOR, "Remove a network stream."),
    ("get_external_streams", Role.VIEWER, "List the known network streams."),
    ("set_discovery_interval", Role.ADMIN, "Set how often to search for network streams."),
)


#: Methods of the contract that a plugin implements, with the plugin's name.
CONTRACT_METHODS: Mapping[str, str] = MappingProxyType(
    {name: "external_discovery" for name, _, _ in _EXTERNAL}
)


def placeholders() -> list[Method]:
    """Return the placeholders; every call of one raises Unsupported."""
    return [contract_placeholder(*row, plugin=CONTRACT_METHODS[row[0]]) for row in _EXTERNAL]


def contract_placeholder(name: str, role: Role, summary: str, *, plugin: str) -> Method:
    """Return a placeholder for a method of `plugin`; until it is loaded, every call raises Unsupported."""

    async def refuse(_params: object, _caller: Caller) -> object:
        raise Unsupported(
            f"The plugin {plugin}, which implements {name}, is not loaded.",
            feature=plugin,
            reason="plugin_not_loaded",
            suggestion=f"Add {plugin} to plugins.enabled; `camera-agent plugins list` tells why it is not loaded.",
        )

    return Method(name, role, summary, _Anything, object, refuse, errors=(Unsupported,), provided_by=plugin)


class _Anything(RpcParams):
    model_config = ConfigDict(extra="allow")
