"""Pictures as the bridge takes and publishes them."""

import hashlib
import re
from base64 import b64decode

from pydantic import BaseModel, ConfigDict, JsonValue

from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.link import AgentCalls, CallRefused

__all__ = ("MOST_PICTURE_BYTES", "TakenPicture", "take_picture")

#: Largest picture that `get_picture` returns.
MOST_PICTURE_BYTES = 700_000
#: Width below which a picture is not taken again because it is too large.
_LEAST_WIDTH = 160
_HINT = re.compile(r"width=([0-9]{1,5})")


class TakenPicture(BaseModel):
    """Answer of `get_picture`; times as on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    content_type: str
    width: int
    height: int
    captured_at: str
    captured_at_source: str
    age_ms: int
    tier_name: str
    data: str

    @property
    def content(self) -> bytes:
        return b64decode(self.data)

    def message(self, topic: str, *, retain: bool) -> Outgoing:
        """Return the message with the picture."""
        content = self.content
        properties = {
            "device": self.device,
            "captured_at": self.captured_at,
            "captured_at_source": self.captured_at_source,
            "age_ms": str(self.age_ms),
            "width": str(self.width),
            "height": str(self.height),
            "tier": self.tier_name,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        return Outgoing(
            topic,
            content,
            qos=0,
            retain=retain,
            content_type=self.content_type,
            properties=properties,
        )


async def take_picture(
    calls: AgentCalls, camera: str, *, width: int, quality: int, most_bytes: int
) -> TakenPicture:
    """Take a JPEG of at most `most_bytes`: if one is larger, again with less width.

    Raises:
        CallRefused: as of `get_picture`; also if even a small picture is too large.
    """
    while True:
        params: dict[str, JsonValue] = {
            "device": camera,
            "width": width,
            "quality": quality,
            "max_bytes": max(1024, min(most_bytes, MOST_PICTURE_BYTES)),
        }
        try:
            return TakenPicture.model_validate(await calls.call("get_picture", params))
        except CallRefused as refusal:
            smaller = _smaller_width(refusal, width)
            if smaller is None:
                raise
            width = smaller


def _smaller_width(refusal: CallRefused, width: int) -> int | None:
    """Return the next width to try; None if the error has another cause, or the picture is small already."""
    if refusal.data.get("rule") != "picture_too_large" or width <= _LEAST_WIDTH:
        return None
    hint = _HINT.fullmatch(str(refusal.data.get("hint", "")))
    proposed = width // 2 if hint is None else int(hint[1])
    return max(_LEAST_WIDTH, min(proposed, width * 3 // 4))
