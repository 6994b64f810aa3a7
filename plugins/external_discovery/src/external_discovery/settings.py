"""Settings of `[plugins.external_discovery]`."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from agent_core.plugin import HOT, Settings
from external_discovery.address import AddressRefused, StreamAddress
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.wire import StreamType

__all__ = ("ConfiguredStream", "ExternalDiscoverySettings")


class ConfiguredStream(Settings):
    """Settings of one stream: `[[plugins.external_discovery.streams]]`."""

    # The address may hold a password, which no message about wrong settings may show.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretStr = Field(description="address of the stream")
    name: str = Field(min_length=1, max_length=100, description="name of the camera; unique")
    type: StreamType = Field("generic_rtsp", description="kind of stream, for clients")
    id: str | None = Field(
        None,
        pattern=r"^camera(0|[1-9][0-9]{0,8})$",
        description="public id, such as camera7; default: numbered from camera100",
    )
    user: str | None = Field(None, min_length=1, max_length=256, description="user name at the camera")
    password: SecretStr | None = Field(None, min_length=1, max_length=256, description="password of the user")
    password_file: Path | None = Field(
        None, description="file with the password on its first line, instead of password"
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        try:
            StreamAddress.parse(url.get_secret_value())
        except AddressRefused as refused:
            raise ValueError(refused.details) from None
        return url

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        given = [each for each in (self.password, self.password_file) if each is not None]
        _, credentials = StreamAddress.parse(self.url.get_secret_value())
        if len(given) != (self.user is not None) or (self.user and credentials is not None):
            msg = "set user with password or with password_file, or put both into the url, or neither"
            raise ValueError(msg)
        return self

    @property
    def address(self) -> StreamAddress:
        return StreamAddress.parse(self.url.get_secret_value())[0]


class ExternalDiscoverySettings(Settings):
    """Settings of the plugin. The README's table repeats the descriptions."""

    model_config = ConfigDict(hide_input_in_errors=True)

    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], HOT] = Field(
        (),
        description="the only networks that streams may come from, such as 192.0.2.0/24; "
        "empty: all but the always forbidden ones",
    )
    forbidden_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], HOT] = Field(
        (), description="networks that no stream may come from"
    )
    max_streams: Annotated[int, HOT] = Field(
        64, ge=1, le=1000, description="number of streams that may be added"
    )
    probe_timeout_s: Annotated[float, HOT] = Field(
        5.0, ge=0.2, le=60, description="limit of a look at a camera, when it is added and later"
    )
    streams: Annotated[tuple[ConfiguredStream, ...], HOT] = Field(
        (), max_length=1000, description="streams that are always there, one table per stream"
    )
    discovery: DiscoverySettings = Field(DiscoverySettings(), description="searches for streams; see below")

    @field_validator("streams")
    @classmethod
    def _unique(cls, streams: tuple[ConfiguredStream, ...]) -> tuple[ConfiguredStream, ...]:
        for what, values in (
            ("the same address", [each.address.url for each in streams]),
            ("the same name", [each.name.casefold() for each in streams]),
            ("the same id", [each.id for each in streams if each.id]),
        ):
            if len(set(values)) < len(values):
                msg = f"two streams have {what}"
                raise ValueError(msg)
        return streams
