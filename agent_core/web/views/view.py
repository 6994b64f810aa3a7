"""View of a camera as a resource, with what all views share: access, and the count of refusals."""

from abc import abstractmethod
from typing import ClassVar

from starlette.requests import Request

from agent_core.base.errors import NotFound
from agent_core.web.access import peer_of
from agent_core.web.resource import GuardedSend, Resource
from agent_core.web.views.access import Grant, ViewAccess, challenge_for
from agent_core.web.views.meter import ViewKind, ViewMeter

__all__ = ("NoView", "View")


class View(Resource):
    """Resource at `/cameras/{device}/...`. A refusal does not reveal if the camera exists."""

    kind: ClassVar[ViewKind]
    methods: ClassVar[tuple[str, ...] | None] = ("GET", "HEAD")
    #: A view link gives access.
    by_link: ClassVar[bool] = True

    def __init__(self, access: ViewAccess, meter: ViewMeter) -> None:
        self._access = access
        self._meter = meter

    @abstractmethod
    async def answer(self, request: Request, grant: Grant, send: GuardedSend) -> None:
        """Answer a request that has access. An AgentError that is raised before the response begins becomes the response."""

    async def respond(self, request: Request, send: GuardedSend) -> None:
        grant = await self._access.require(request, request.path_params["device"], by_link=self.by_link)
        send.by_link = grant.by_link
        with self._access.live.hold(grant.is_current, peer_of(request.scope).end):
            await self.answer(request, grant, send)

    def challenge(self, request: Request) -> str:
        return challenge_for(request)

    def note_refused(self, status: int) -> None:
        self._meter.refused(self.kind, status)


class NoView(Resource):
    """Resource at the addresses below `/cameras` that lead to no view."""

    methods = None

    async def respond(self, request: Request, send: GuardedSend) -> None:
        raise NotFound(
            "There is no such view of a camera.",
            resource="view",
            id=request.path_params["path"][:100],
            suggestion="Use snapshot.jpg, live.mjpeg or whep below /cameras/ID.",
        )
