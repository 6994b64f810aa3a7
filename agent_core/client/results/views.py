"""Results of the methods about views.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime

__all__ = ("ViewLinkCreated", "ViewLinkEntry", "ViewLinkList", "ViewLinkRevoked")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewLinkCreated:
    """A view link, whose addresses are shown only here. With `device` null, replace `{device}` in them by a camera's id."""

    id: str
    #: null if the link shows all cameras
    device: str | None
    #: user who made the link
    user: str
    created_at: datetime
    expires_at: datetime
    #: live view, multipart/x-mixed-replace, relative to the agent's address
    url: str
    #: single picture, relative to the agent's address
    snapshot_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewLinkEntry:
    id: str
    #: null if the link shows all cameras
    device: str | None
    #: user who made the link
    user: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewLinkList:
    links: list[ViewLinkEntry]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewLinkRevoked:
    id: str
    revoked: bool
