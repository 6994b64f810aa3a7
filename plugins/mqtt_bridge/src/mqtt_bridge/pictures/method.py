"""Method by which clients have a picture published."""

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from agent_core.plugin import (
    AgentError,
    CaptureFailed,
    DependencyFailed,
    InvalidParams,
    InvalidState,
    NotFound,
    RpcMethod,
    RpcParams,
    RpcResult,
    Unsupported,
)
from mqtt_bridge.link import CallRefused
from mqtt_bridge.pictures.part import NotPublished, PicturesPart

__all__ = ("PublishPicture", "PublishPictureParams", "PublishedForm")

_NOT_FOUND = -32010
_INVALID_PARAMS = -32602


class PublishPictureParams(RpcParams):
    device: str = Field(pattern=r"^camera(0|[1-9][0-9]*)$", description="id of a camera, such as camera0")
    width: int | None = Field(
        None, ge=16, le=8192, description="pixels; default: pictures.width of the plugin's settings"
    )
    quality: int | None = Field(
        None, ge=1, le=100, description="JPEG quality; default: pictures.quality of the plugin's settings"
    )


class PublishedForm(RpcResult):
    """A picture that was published with QoS 0: a receiver that is not there misses it."""

    device: str
    topic: str
    size_bytes: int
    content_type: str
    width: int
    height: int
    captured_at: str
    captured_at_source: str
    age_ms: int
    tier: str


class PublishPicture(RpcMethod[PublishPictureParams]):
    """Method `mqtt_bridge.publish_picture`.

    Args:
        pictures: returns the part that publishes; None if the settings exclude pictures on demand.
    """

    name = "mqtt_bridge.publish_picture"
    role = "viewer"
    summary = "Take a picture and publish it at the MQTT broker."
    Params: ClassVar[type[RpcParams]] = PublishPictureParams
    Result: ClassVar[type[RpcResult]] = PublishedForm
    errors: ClassVar[tuple[type[AgentError], ...]] = (NotFound, InvalidState, Unsupported, DependencyFailed)

    def __init__(self, pictures: Callable[[], PicturesPart | None]) -> None:
        self._pictures = pictures

    async def call(self, params: PublishPictureParams) -> PublishedForm:
        part = self._pictures()
        if part is None:
            raise Unsupported(
                "Pictures on demand are switched off.",
                feature="mqtt_bridge.pictures.on_demand",
                reason="on_demand_off",
                suggestion="Set pictures.on_demand in [plugins.mqtt_bridge].",
            )
        try:
            published = await part.publish(params.device, width=params.width, quality=params.quality)
        except NotPublished:
            raise _not_connected() from None
        except CallRefused as refusal:
            raise _as_error(refusal, params.device) from None
        taken = published.taken
        return PublishedForm(
            device=taken.device,
            topic=published.topic,
            size_bytes=published.size_bytes,
            content_type=taken.content_type,
            width=taken.width,
            height=taken.height,
            captured_at=taken.captured_at,
            captured_at_source=taken.captured_at_source,
            age_ms=taken.age_ms,
            tier=taken.tier_name,
        )


def _not_connected() -> InvalidState:
    return InvalidState(
        "There is no connection to the MQTT broker.",
        state="DISCONNECTED",
        allowed_states=("CONNECTED",),
        reason="broker_not_connected",
        suggestion="Try again when the agent has connected to the broker, or call get_picture.",
    )


def _as_error(refusal: CallRefused, camera: str) -> AgentError:
    """Return the error of `get_picture` as an error of this method."""
    if refusal.code == _NOT_FOUND:
        return NotFound(refusal.details, resource="camera", id=camera)
    if refusal.code == _INVALID_PARAMS:
        rule = str(refusal.data.get("rule", refusal.reason))
        return InvalidParams(
            refusal.details, param="width", rule=rule, hint=str(refusal.data.get("hint", ""))
        )
    return CaptureFailed(refusal.details, reason=refusal.reason)
