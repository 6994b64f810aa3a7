"""Routes of all views. Apart from the views, each of which knows one."""

from dataclasses import dataclass

from starlette.routing import Route

from agent_core.base.clock import Clock
from agent_core.web.views.access import ViewAccess
from agent_core.web.views.live import LiveView, OpenFeed, RequireConnected
from agent_core.web.views.meter import ViewMeter
from agent_core.web.views.places import Places
from agent_core.web.views.snapshot import SnapshotView, TakePicture
from agent_core.web.views.view import NoView
from agent_core.web.views.whep import RelayWhep, WhepSessionView, WhepView

__all__ = ("CameraViews", "view_routes")


@dataclass(frozen=True, slots=True)
class CameraViews:
    """Use cases of the controller that views need."""

    take: TakePicture
    open_feed: OpenFeed
    require_connected: RequireConnected
    relay_whep: RelayWhep


def view_routes(
    access: ViewAccess, cameras: CameraViews, *, places: Places, meter: ViewMeter, clock: Clock
) -> list[Route]:
    """Return the routes below `/cameras`."""
    live = LiveView(
        access, cameras.open_feed, cameras.require_connected, places=places, meter=meter, clock=clock
    )
    whep = WhepView(access, cameras.relay_whep, places=places, meter=meter, clock=clock)
    session = WhepSessionView(access, cameras.relay_whep, places=places, meter=meter, clock=clock)
    return [
        Route("/cameras/{device}/snapshot.jpg", SnapshotView(access, cameras.take, meter)),
        Route("/cameras/{device}/live.mjpeg", live),
        Route("/cameras/{device}/whep", whep),
        Route("/cameras/{device}/whep/{session}", session),
        Route("/cameras/{path:path}", NoView()),
    ]
