"""Routes of all views. Apart from the views, each of which knows one."""

from dataclasses import dataclass

from starlette.routing import Route

from agent_core.base.clock import Clock
from agent_core.web.views.access import ViewAccess
from agent_core.web.views.live import LiveView, OpenFeed, RequireConnected
from agent_core.web.views.places import Places
from agent_core.web.views.snapshot import SnapshotView, TakePicture

__all__ = ("CameraPictures", "view_routes")


@dataclass(frozen=True, slots=True)
class CameraPictures:
    """Use cases of the controller that views need."""

    take: TakePicture
    open_feed: OpenFeed
    require_connected: RequireConnected


def view_routes(access: ViewAccess, pictures: CameraPictures, places: Places, clock: Clock) -> list[Route]:
    """Return the routes below `/cameras/{device}`."""
    live = LiveView(access, pictures.open_feed, pictures.require_connected, places, clock)
    return [
        Route("/cameras/{device}/snapshot.jpg", SnapshotView(access, pictures.take), methods=["GET"]),
        Route("/cameras/{device}/live.mjpeg", live, methods=["GET"]),
    ]
