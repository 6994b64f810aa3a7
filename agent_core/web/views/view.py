"""View of a camera as a route, with what all views share: access, headers and the form of errors."""

from abc import ABC, abstractmethod
from typing import ClassVar

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from agent_core.rpc.errors import only_agent_error
from agent_core.web.access import peer_of
from agent_core.web.answers import error_response
from agent_core.web.views.access import Grant, ViewAccess, challenge_for
from agent_core.web.views.meter import ViewKind, ViewMeter

__all__ = ("GuardedSend", "View")


class GuardedSend:
    """Sender of a response that adds the headers of all views.

    A page of another origin may show what a view link gives, and nothing else: `Cross-Origin-Resource-Policy` keeps it
    from using pictures, and the Content-Security-Policy from framing an address, which is a navigation.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False
        self.by_link = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            message = {**message, "headers": list(message.get("headers", ()))}
            headers = MutableHeaders(scope=message)
            headers["cross-origin-resource-policy"] = "cross-origin" if self.by_link else "same-origin"
            if not self.by_link:
                headers["content-security-policy"] = "frame-ancestors 'none'"
            headers["cache-control"] = "no-store"
            headers["referrer-policy"] = "no-referrer"
            headers["x-content-type-options"] = "nosniff"
        await self._send(message)


class View(ABC):
    """ASGI application of one route `/cameras/{device}/...`. A refusal does not reveal if the camera exists."""

    kind: ClassVar[ViewKind]
    #: A view link gives access.
    by_link: ClassVar[bool] = True

    def __init__(self, access: ViewAccess, meter: ViewMeter) -> None:
        self._access = access
        self._meter = meter

    @abstractmethod
    async def answer(self, request: Request, grant: Grant, send: GuardedSend) -> None:
        """Answer a request that has access. An AgentError that is raised before the response begins becomes the response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, guarded = Request(scope, receive), GuardedSend(send)
        try:
            grant = await self._access.require(request, request.path_params["device"], by_link=self.by_link)
            guarded.by_link = grant.by_link
            with self._access.live.hold(grant.is_current, peer_of(scope).end):
                await self.answer(request, grant, guarded)
        except Exception as error:
            known = only_agent_error(error)
            response = known and error_response(known, challenge=challenge_for(request), has_more=True)
            if not response or guarded.has_begun:
                raise
            self._meter.refused(self.kind, response.status_code)
            await response(scope, receive, guarded)
