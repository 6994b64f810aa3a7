"""Resource behind an address of the agent itself: one form for all its answers, refusals included."""

from abc import ABC, abstractmethod
from typing import ClassVar

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from agent_core.rpc.errors import only_agent_error
from agent_core.web.answers import error_response
from agent_core.web.http_errors import WrongMethod

__all__ = ("GuardedSend", "Resource")


class GuardedSend:
    """Sender of a response that adds the headers of all resources.

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


class Resource(ABC):
    """ASGI application for a route without methods of its own.

    A route with methods would pass a wrong one on to the files of a plugin at `/`, and answer it without these headers.
    """

    #: Methods that it takes; None: all, to refuse them.
    methods: ClassVar[tuple[str, ...] | None]

    @abstractmethod
    async def respond(self, request: Request, send: GuardedSend) -> None:
        """Answer a request. An AgentError that is raised before the response begins becomes the response."""

    def challenge(self, request: Request) -> str:
        """Return how to authenticate, for the answer to a request without access."""
        return "Bearer"

    def note_refused(self, status: int) -> None:  # noqa: B027 - counted by some only
        """Note that a request was answered with an error of this status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, guarded = Request(scope, receive), GuardedSend(send)
        try:
            if self.methods is not None and request.method not in self.methods:
                raise WrongMethod(self.methods)
            await self.respond(request, guarded)
        except Exception as error:
            known = only_agent_error(error)
            response = known and error_response(known, challenge=self.challenge(request), has_more=True)
            if not response or guarded.has_begun:
                raise
            self.note_refused(response.status_code)
            await response(scope, receive, guarded)
