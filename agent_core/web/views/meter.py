"""Numbers of views: pictures sent, and requests refused."""

from collections import Counter
from typing import Literal

from agent_core.base.metrics import MetricRegistry
from agent_core.web.views.places import Places

__all__ = ("ViewKind", "ViewMeter")

#: Name of a route, as the label of its series.
ViewKind = Literal["snapshot", "live", "whep"]


class ViewMeter:
    """Counts what views send and refuse. Open live views are counted by their places."""

    def __init__(self) -> None:
        self._pictures: Counter[ViewKind] = Counter()
        self._refusals: Counter[tuple[ViewKind, int]] = Counter()

    def sent(self, view: ViewKind) -> None:
        """Count a picture that was given to a client's connection."""
        self._pictures[view] += 1

    def refused(self, view: ViewKind, status: int) -> None:
        """Count a request that was answered with an error of this HTTP status."""
        self._refusals[view, status] += 1

    def add_metrics(self, registry: MetricRegistry, places: Places) -> None:
        """Describe the views; `places` are those of live ones."""
        registry.gauge(
            "camera_agent_live_views",
            "Live views that are open, over HTTP and by WebRTC, by camera.",
            lambda: {(camera,): count for camera, count in places.by_camera().items()},
            labels=("camera",),
        )
        registry.counter(
            "camera_agent_view_pictures_total",
            "Pictures that views over HTTP have sent, by kind of view.",
            lambda: {(view,): count for view, count in self._pictures.items()},
            labels=("view",),
        )
        registry.counter(
            "camera_agent_view_refusals_total",
            "Requests for views over HTTP answered with an error, by kind of view and HTTP status.",
            lambda: {(view, str(status)): count for (view, status), count in self._refusals.items()},
            labels=("view", "status"),
        )
