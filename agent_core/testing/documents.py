"""OpenRPC documents of real agents."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agent_core.testing.agents import running_agent

__all__ = ("WHOLE_CONTRACT", "document_of")

#: Configuration of an agent that offers every method of this repository: each plugin that adds some, and keys.
WHOLE_CONTRACT: Mapping[str, Any] = MappingProxyType(
    {
        "auth": {"keys_over_network": True},
        "plugins": {
            "enabled": ["virtual_camera", "external_discovery"],
            "virtual_camera": {"faults": True},
        },
    }
)


async def document_of(config: Mapping[str, Any] = WHOLE_CONTRACT) -> dict[str, Any]:
    """Return the answer to `rpc.discover` of an agent with these sections, which runs only meanwhile."""
    async with running_agent(config=config, settled=False) as agent, agent.client(None) as client:
        document: dict[str, Any] = await client.call("rpc.discover")
        return document
