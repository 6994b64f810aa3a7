"""Methods of the contract that the core does not answer yet, or that a plugin implements."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ConfigDict

from agent_core.api.schema import params as wire
from agent_core.auth.roles import Role
from agent_core.base.errors import Unsupported
from agent_core.plugin.abc import RpcParams
from agent_core.rpc.table import Caller, Method

__all__ = ("CONTRACT_METHODS", "contract_placeholder", "placeholders")

#: Methods of the contract that this version does not have yet, with their role.
_LATER: tuple[tuple[str, Role, str], ...] = (
    ("delete_recording", Role.ADMIN, "Delete a recording."),
    ("delete_snapshot", Role.ADMIN, "Delete a snapshot."),
    ("get_metrics", Role.ADMIN, "Counters and gauges."),
    ("get_storage_info", Role.ADMIN, "Space used and left."),
    ("set_retention_policy", Role.ADMIN, "When stored media are deleted."),
    ("cleanup_old_files", Role.ADMIN, "Apply the retention policy now."),
)


#: Methods of the contract that belong to the plugin external_discovery, with their role.
_EXTERNAL: tuple[tuple[str, Role, str], ...] = (
    ("discover_external_streams", Role.OPERATOR, "Look for network and UAV streams."),
    ("add_external_stream", Role.OPERATOR, "Make a network stream a camera."),
    ("remove_external_stream", Role.OPERATOR, "Forget a network stream."),
    ("get_external_streams", Role.VIEWER, "The network streams that are known."),
    ("set_discovery_interval", Role.ADMIN, "How often to look for network streams."),
)


#: Methods that the contract names and a plugin implements, with the plugin's name.
CONTRACT_METHODS: Mapping[str, str] = MappingProxyType(
    {name: "external_discovery" for name, _, _ in _EXTERNAL}
)


def placeholders() -> list[Method]:
    """Return a method for each of the contract's that the core does not answer; every call is Unsupported."""
    external = [contract_placeholder(*row, plugin=CONTRACT_METHODS[row[0]]) for row in _EXTERNAL]
    return [*(_later(*row) for row in _LATER), *external]


def _later(name: str, role: Role, summary: str) -> Method:
    async def refuse(params: object, caller: Caller) -> object:
        raise Unsupported(
            f"This version of the agent does not have {name} yet.",
            feature=name,
            reason="not_available",
            suggestion="Upgrade the agent when a release that has it is out.",
        )

    return Method(name, role, summary, wire.AnyParams, object, refuse, errors=(Unsupported,))


def contract_placeholder(name: str, role: Role, summary: str, *, plugin: str) -> Method:
    """Return a method of the contract that `plugin` implements; until that is loaded every call is Unsupported."""

    async def refuse(_params: object, _caller: Caller) -> object:
        raise Unsupported(
            f"{name} belongs to the plugin {plugin}, which is not loaded.",
            feature=plugin,
            reason="plugin_not_loaded",
            suggestion=f"Add {plugin} to plugins.enabled; `camera-agent plugins list` says why it is missing.",
        )

    return Method(name, role, summary, _Anything, object, refuse, errors=(Unsupported,), provided_by=plugin)


class _Anything(RpcParams):
    model_config = ConfigDict(extra="allow")
