"""Examples of the methods about view links. Apart from the methods, so that their rows stay short to read."""

from datetime import timedelta

from agent_core.api.examples.story import CAMERA, TAKEN_AT
from agent_core.api.schema import views as wire
from agent_core.api.schema.params import NoParams
from agent_core.plugin import MethodExample

__all__ = ("create_view_link", "list_view_links", "revoke_view_link")

_ID, _USER, _LIFETIME_S = "5f0c2be1d8a94c37", "olga", 86_400
_END = TAKEN_AT + timedelta(seconds=_LIFETIME_S)


def create_view_link() -> MethodExample:
    """Use a word for the link's secret: nothing that looks like one may be in a document."""
    created = wire.ViewLinkCreated(
        id=_ID,
        device=CAMERA,
        user=_USER,
        created_at=TAKEN_AT,
        expires_at=_END,
        url=f"/cameras/{CAMERA}/live.mjpeg?view=LINK",
        snapshot_url=f"/cameras/{CAMERA}/snapshot.jpg?view=LINK",
    )
    return MethodExample(wire.CreateViewLinkParams(device=CAMERA, lifetime_s=_LIFETIME_S), created)


def list_view_links() -> MethodExample:
    entry = wire.ViewLinkEntry(id=_ID, device=CAMERA, user=_USER, created_at=TAKEN_AT, expires_at=_END)
    return MethodExample(NoParams(), wire.ViewLinkList(links=[entry], total=1), after=("create_view_link",))


def revoke_view_link() -> MethodExample:
    revoked = wire.ViewLinkRevoked(id=_ID, revoked=True)
    return MethodExample(wire.ViewLinkParams(id=_ID), revoked, after=("create_view_link",))
