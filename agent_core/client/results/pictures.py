"""Results of the methods about pictures.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_core.client.results.words import CapturedAtSource

__all__ = ("PictureForm",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureForm:
    """A picture that was just taken, and is not stored."""

    device: str
    content_type: Literal["image/jpeg", "image/png"] | str
    width: int
    height: int
    #: size of the picture, before base64
    size_bytes: int
    #: time to which age_ms refers
    timestamp: datetime
    captured_at: datetime
    captured_at_source: CapturedAtSource
    age_ms: int
    #: false: the camera had just started and was still adjusting its exposure
    settled: bool
    tier_used: int
    tier_name: str
    #: the picture in base64
    data: str
