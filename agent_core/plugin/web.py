"""Pages that plugins add to the agent's port. Apart from the other classes, as few plugins have pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

__all__ = ("WebFiles", "WebPart", "WebRoutes", "WebUser")


class WebPart:
    """Base of what the hook `agent_web_routes` offers. New in 1.4."""


@dataclass(frozen=True, slots=True)
class WebRoutes(WebPart):
    """Starlette routes for users of one role, or a higher one.

    The core checks the token or API key of each request before it calls an endpoint, sets `request.user` to a `WebUser`,
    adds the headers of all pages, and ends a response, with its endpoint, whose credentials expire or are revoked. An endpoint may raise an
    AgentError, which becomes an answer of JSON with a fitting status; any other exception is logged and answered with 500.

    Attributes:
        role: `viewer`, `operator` or `admin`.
        routes: routes; a path such as `/state` is found at `/plugins/<plugin>/state`.
    """

    role: str
    routes: "tuple[Route, ...]"


@dataclass(frozen=True, slots=True)
class WebFiles(WebPart):
    """Folder of static files, which everyone who reaches the port may read. They must hold no secret.

    Attributes:
        folder: files found at `/plugins/<plugin>/`, where `index.html` is the page without a name. Links are not followed.
        claims_root: serve the files at `/` too, where the agent has nothing of its own; one plugin may do so.
    """

    folder: Path
    claims_root: bool = False


@dataclass(frozen=True, slots=True)
class WebUser:
    """User of a request, by whom an endpoint may decide. `role` is `viewer`, `operator` or `admin`."""

    name: str
    role: str
