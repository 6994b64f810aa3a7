"""Settings of `[plugins.mqtt_bridge]`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from agent_core.plugin import HOT, Settings
from mqtt_bridge.broker.address import BrokerAddress

__all__ = (
    "CommandSettings",
    "EventSettings",
    "HomeAssistantSettings",
    "MqttBridgeSettings",
    "PictureSettings",
    "StateSettings",
    "TlsSettings",
)

#: One level of a topic, without what brokers give a meaning to.
_LEVEL = r"[A-Za-z0-9_.\-]"
_LABEL_NAME = Annotated[str, StringConstraints(pattern=rf"^{_LEVEL}{{1,64}}$")]
_LABEL_VALUE = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f=,]+$")
]
_TOPIC_NAME = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?$|^\*$")]
_CAMERA = Annotated[str, StringConstraints(pattern=r"^camera(0|[1-9][0-9]{0,8})$")]
Qos = Literal[0, 1]


class TlsSettings(Settings):
    """Certificates for `mqtts://`."""

    ca_file: Annotated[Path | None, HOT] = Field(
        None, description="certificates (PEM) of the authorities to trust; default: those of the system"
    )
    certificate_file: Annotated[Path | None, HOT] = Field(
        None, description="the agent's own certificate (PEM), for brokers that ask for one"
    )
    key_file: Annotated[Path | None, HOT] = Field(
        None, description="private key (PEM) of certificate_file, without a password"
    )
    server_name: Annotated[str | None, HOT] = Field(
        None,
        min_length=1,
        max_length=253,
        description="name in the broker's certificate; default: the URL's host",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("set certificate_file and key_file together, or neither")
        return self


class StateSettings(Settings):
    """Retained state of the agent, its cameras and its recordings."""

    qos: Annotated[Qos, HOT] = Field(1, description="quality of service: 1 with acknowledgement, 0 without")
    min_interval_s: Annotated[float, HOT] = Field(
        1.0,
        ge=0,
        le=3600,
        description="shortest time between two messages of one topic; the newest state is sent",
    )
    refresh_s: Annotated[float, HOT] = Field(
        60.0, ge=10, le=86_400, description="time between two readings of load, disk and latencies"
    )


class EventSettings(Settings):
    """Events of the agent as messages."""

    enabled: Annotated[bool, HOT] = Field(default=True, description="publish the agent's events")
    qos: Annotated[Qos, HOT] = Field(1, description="quality of service: 1 with acknowledgement, 0 without")
    topics: Annotated[tuple[_TOPIC_NAME, ...], HOT] = Field(
        ("*",),
        max_length=100,
        description="topics of the events, such as camera.*; * for all of the agent's own; a plugin's by its name",
    )
    kept: Annotated[int, HOT] = Field(
        1000, ge=0, le=100_000, description="events kept while the broker is away; then the oldest go"
    )
    kept_bytes: Annotated[int, HOT] = Field(
        2_000_000, ge=10_000, le=100_000_000, description="size of all events that are kept"
    )
    per_s: Annotated[float, HOT] = Field(
        20.0, gt=0, le=10_000, description="rate at which kept events are published later"
    )


class PictureSettings(Settings):
    """Pictures of the cameras."""

    interval_s: Annotated[float, HOT] = Field(
        0.0, ge=0, le=86_400, description="seconds between two pictures of a camera; 0: none"
    )
    on_demand: Annotated[bool, HOT] = Field(
        default=True, description="publish a picture when a client asks for it"
    )
    width: Annotated[int, HOT] = Field(640, ge=16, le=8192, description="largest width in pixels")
    quality: Annotated[int, HOT] = Field(75, ge=1, le=100, description="quality of the JPEG")
    retain: Annotated[bool, HOT] = Field(
        default=False, description="let the broker keep the last picture for later subscribers"
    )
    cameras: Annotated[tuple[_CAMERA, ...], HOT] = Field(
        (), max_length=1000, description="the only cameras; empty: all"
    )

    @field_validator("interval_s")
    @classmethod
    def _not_a_video(cls, interval_s: float) -> float:
        if 0 < interval_s < 1:
            raise ValueError(
                "set at least 1 second, or 0 for no pictures; live pictures are no matter for MQTT"
            )
        return interval_s


class CommandSettings(Settings):
    """Signed calls over the broker."""

    enabled: Annotated[bool, HOT] = Field(default=True, description="answer signed calls")
    trust_clock: Annotated[bool, HOT] = Field(
        default=False, description="run calls that change something although the clock is not synchronised"
    )
    session_idle_s: Annotated[float, HOT] = Field(
        300.0,
        ge=5,
        le=86_400,
        description="time without calls after which a client's session and streams end",
    )
    max_calls: Annotated[int, HOT] = Field(128, ge=1, le=1000, description="calls that run at a time")
    max_request_bytes: Annotated[int, HOT] = Field(
        65_536, ge=1024, le=1_048_576, description="largest request"
    )
    max_reply_bytes: Annotated[int, HOT] = Field(
        1_048_576, ge=1024, le=16_777_216, description="largest reply"
    )


class HomeAssistantSettings(Settings):
    """Discovery by Home Assistant."""

    enabled: Annotated[bool, HOT] = Field(default=False, description="describe the cameras to Home Assistant")
    prefix: Annotated[str, HOT] = Field(
        "homeassistant",
        max_length=128,
        pattern=rf"^{_LEVEL}+(/{_LEVEL}+)*$",
        description="Home Assistant's discovery prefix",
    )
    control: Annotated[bool, HOT] = Field(
        default=False,
        description="let everyone who may publish at the broker start and stop recordings, without a signature",
    )


class MqttBridgeSettings(Settings):
    """Settings of the plugin. The README's table repeats the descriptions."""

    # An operator may have put a password into the URL, which no message may show.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: Annotated[str | None, HOT] = Field(
        None,
        max_length=1024,
        description="the broker: mqtt://HOST:1883 or mqtts://HOST:8883, IPv6 in brackets; default: the bridge is off",
    )
    prefix: str = Field(
        "camera-agent",
        max_length=128,
        pattern=rf"^{_LEVEL}+(/{_LEVEL}+)*$",
        description="first levels of all topics",
    )
    agent_id: str | None = Field(
        None,
        pattern=rf"^{_LEVEL}{{1,64}}$",
        description="the agent's id at the broker, unique there; default: made once from the host name and kept",
    )
    name: Annotated[str | None, HOT] = Field(
        None, min_length=1, max_length=100, description="the agent's name for people; default: the host name"
    )
    labels: Annotated[dict[_LABEL_NAME, _LABEL_VALUE], HOT] = Field(
        {}, max_length=32, description='labels by which clients select agents, such as { site = "north" }'
    )
    user: Annotated[str | None, HOT] = Field(
        None, min_length=1, max_length=256, description="user name at the broker"
    )
    password_file: Annotated[Path | None, HOT] = Field(
        None, description="file with the user's password on its first line, not readable by others"
    )
    tls: Annotated[TlsSettings, HOT] = Field(
        TlsSettings(), description="certificates for mqtts://; see below"
    )
    keep_alive_s: Annotated[int, HOT] = Field(
        30, ge=1, le=3600, description="a silent connection counts as lost after twice this time"
    )
    connect_timeout_s: Annotated[float, HOT] = Field(
        15.0, ge=0.2, le=120, description="limit of one attempt to connect, up to the broker's answer"
    )
    reconnect_spread_s: Annotated[float, HOT] = Field(
        2.0,
        ge=0.5,
        le=3600,
        description="a lost connection is made again after a random time of up to this, so that a fleet does not "
        "come back at once; see docs/fleet.md",
    )
    max_packet_bytes: Annotated[int, HOT] = Field(
        262_144, ge=8192, le=16_777_216, description="largest packet that the broker may send"
    )
    state: Annotated[StateSettings, HOT] = Field(StateSettings(), description="retained state; see below")
    events: Annotated[EventSettings, HOT] = Field(EventSettings(), description="events; see below")
    pictures: Annotated[PictureSettings, HOT] = Field(PictureSettings(), description="pictures; see below")
    commands: Annotated[CommandSettings, HOT] = Field(
        CommandSettings(), description="signed calls; see below"
    )
    home_assistant: Annotated[HomeAssistantSettings, HOT] = Field(
        HomeAssistantSettings(), description="discovery by Home Assistant; see below"
    )

    @field_validator("url")
    @classmethod
    def _of_a_broker(cls, url: str | None) -> str | None:
        if url is not None:
            BrokerAddress.parse(url)
        return url

    @field_validator("agent_id")
    @classmethod
    def _not_reserved(cls, agent_id: str | None) -> str | None:
        if agent_id == "replies":
            raise ValueError(
                "an agent cannot have the id 'replies', below whose topic clients receive replies"
            )
        return agent_id

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password_file is not None and self.user is None:
            raise ValueError("password_file needs user")
        if self.tls != TlsSettings() and self.url is not None and not BrokerAddress.parse(self.url).tls:
            raise ValueError("the settings in tls need a url that begins with mqtts://")
        return self

    @property
    def address(self) -> BrokerAddress | None:
        """Address of the broker; None if the bridge is off."""
        return None if self.url is None else BrokerAddress.parse(self.url)
