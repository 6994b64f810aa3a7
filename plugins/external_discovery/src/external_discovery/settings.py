"""Settings of `[plugins.external_discovery]`."""

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field

from agent_core.plugin import Settings
from external_discovery.discovery.settings import DiscoverySettings

__all__ = ("ExternalDiscoverySettings",)


class ExternalDiscoverySettings(Settings):
    """Settings of the plugin. The README's table repeats the descriptions."""

    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="the only networks that streams may come from, such as 192.0.2.0/24; "
        "empty: all but the always forbidden ones",
    )
    forbidden_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="networks that no stream may come from"
    )
    discovery: DiscoverySettings = Field(DiscoverySettings(), description="searches for streams; see below")
