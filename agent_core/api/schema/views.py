"""Parameters and results of the methods about view links."""

from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import DeviceName, Timestamp
from agent_core.auth.view_links import VIEW_LINK_LIFETIME_S
from agent_core.plugin import RpcParams, RpcResult

__all__ = (
    "CreateViewLinkParams",
    "ViewLinkCreated",
    "ViewLinkEntry",
    "ViewLinkList",
    "ViewLinkParams",
    "ViewLinkRevoked",
)

_TEN_YEARS_S = 315_360_000


class ViewLinkParams(RpcParams):
    id: str = Field(min_length=1, max_length=100, description="id of a link, as returned by list_view_links")


class CreateViewLinkParams(RpcParams):
    device: DeviceName | None = Field(
        None, description="camera that the link shows, such as camera0; default: all"
    )
    lifetime_s: int = Field(
        VIEW_LINK_LIFETIME_S, ge=1, le=_TEN_YEARS_S, description="time in seconds until the link ends"
    )


class ViewLinkEntry(RpcResult):
    id: str
    device: str | None = Field(description="null if the link shows all cameras")
    user: str = Field(description="user who made the link")
    created_at: Timestamp
    expires_at: Timestamp


class ViewLinkList(RpcResult):
    links: list[ViewLinkEntry]
    total: int


class ViewLinkRevoked(RpcResult):
    id: str
    revoked: Literal[True]


class ViewLinkCreated(ViewLinkEntry):
    """A view link, whose addresses are shown only here. With `device` null, replace `{device}` in them by a camera's id."""

    url: str = Field(description="live view, multipart/x-mixed-replace, relative to the agent's address")
    snapshot_url: str = Field(description="single picture, relative to the agent's address")
