"""Settings of `[plugins.external_discovery.discovery]`."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from agent_core.plugin import HOT, Settings

__all__ = ("DiscoverySettings", "OnvifAccountSettings")


class OnvifAccountSettings(Settings):
    """Account that the ONVIF devices of a network know."""

    network: IPv4Network | IPv6Network = Field(description="devices that get it, such as 192.0.2.7/32")
    user: str = Field(min_length=1, max_length=256)
    password: SecretStr = Field(max_length=256)


class DiscoverySettings(Settings):
    """Settings of scans. The README's table repeats the descriptions."""

    networks: Annotated[tuple[IPv4Network | IPv6Network, ...], HOT] = Field(
        (),
        max_length=64,
        description="networks to search, such as 192.0.2.0/24; without any, nothing is searched",
    )
    scan_interval_s: Annotated[int, HOT] = Field(
        0, ge=0, le=604_800, description="pause between two scans; 0: only on demand"
    )
    scan_limit_s: Annotated[float, HOT] = Field(60.0, ge=1, le=3600, description="longest scan")
    hosts_at_once: Annotated[int, HOT] = Field(
        64, ge=1, le=1024, description="hosts that are tried at the same time"
    )
    connections_per_s: Annotated[float, HOT] = Field(
        500.0, ge=1, le=10_000, description="new connections per second, of all hosts together"
    )
    connect_timeout_s: Annotated[float, HOT] = Field(
        1.0,
        ge=0.05,
        le=30,
        description="limit of a connection; most addresses have no host, which this finds out",
    )
    answer_timeout_s: Annotated[float, HOT] = Field(
        4.0, ge=0.2, le=30, description="limit of each answer of a camera"
    )
    result_age_s: Annotated[float, HOT] = Field(
        60.0, ge=0, le=86_400, description="age up to which the last scan answers, without `force_rescan`"
    )
    keep_offline_s: Annotated[float, HOT] = Field(
        86_400.0,
        ge=0,
        le=31_536_000,
        description="time for which a found stream stays listed after it is gone",
    )
    onvif: Annotated[bool, HOT] = Field(
        default=True, description="search for ONVIF devices when cameras are searched for"
    )
    onvif_accounts: Annotated[tuple[OnvifAccountSettings, ...], HOT] = Field(
        (),
        max_length=64,
        description="accounts for ONVIF devices, each with `network`, `user` and `password`",
    )
    dnssd: Annotated[bool, HOT] = Field(
        default=False, description="search by DNS-SD (`_rtsp._tcp`) when cameras are searched for"
    )
    interfaces: Annotated[tuple[str, ...], HOT] = Field(
        (),
        max_length=64,
        description="the only network interfaces to send searches by multicast on; empty: all",
    )
    multicast_ttl: Annotated[int, HOT] = Field(
        1, ge=1, le=32, description="routers that such a search may pass, plus one"
    )
    multicast_wait_s: Annotated[float, HOT] = Field(
        4.0, ge=0.2, le=60, description="time in which answers to it are awaited"
    )

    @model_validator(mode="after")
    def _a_connection_fits_into_its_answer(self) -> Self:
        if self.connect_timeout_s > self.answer_timeout_s:
            msg = "connect_timeout_s must not be above answer_timeout_s, which includes it"
            raise ValueError(msg)
        return self
