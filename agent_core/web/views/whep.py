"""`whep`: the signalling of WebRTC, relayed under the agent's own roles. Apart from the views, which show pictures."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar, Literal

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from agent_core.base.clock import Clock
from agent_core.streams.models import WHEP_LIMIT_BYTES, WhepAnswer, WhepRequest
from agent_core.web.access import peer_of
from agent_core.web.bodies import read_body
from agent_core.web.resource import GuardedSend
from agent_core.web.views.access import Grant, ViewAccess
from agent_core.web.views.meter import ViewMeter
from agent_core.web.views.places import Places
from agent_core.web.views.query import NoParams, camera_of, params_of
from agent_core.web.views.view import View

__all__ = ("RelayWhep", "WhepSessionView", "WhepView")

#: Relays a request to the media server. Raises NotFound, Unsupported, InvalidParams, RateLimited, CaptureFailed,
#: MediaServerError.
RelayWhep = Callable[[str, WhepRequest], Awaitable[WhepAnswer]]
_Method = Literal["POST", "PATCH", "DELETE"]
#: Media type of each request's body. A page of another origin cannot send these without a permission that is never given.
_MEDIA_TYPES: dict[_Method, str] = {
    "POST": "application/sdp",
    "PATCH": "application/trickle-ice-sdpfrag",
}


class WhepView(View):
    """Route of WHEP: an offer makes a session, which is changed and ended at an address below this one."""

    kind = "whep"
    methods: ClassVar[tuple[str, ...] | None] = ("POST",)
    by_link: ClassVar[bool] = False

    def __init__(
        self, access: ViewAccess, relay: RelayWhep, *, places: Places, meter: ViewMeter, clock: Clock
    ) -> None:
        super().__init__(access, meter)
        self._relay = relay
        self._places = places
        self._clock = clock

    async def answer(self, request: Request, grant: Grant, send: GuardedSend) -> None:
        params_of(request, NoParams)
        method: _Method = request.method  # type: ignore[assignment]  # `methods` has no other
        try:
            body = await read_body(request, _MEDIA_TYPES.get(method), limit_bytes=WHEP_LIMIT_BYTES)
        except ClientDisconnect:
            return
        camera = camera_of(request)
        wanted = WhepRequest(
            method,
            request.path_params.get("session"),
            _passed_on(request, method),
            body,
            partial(grant.wait_over, self._access.live, self._clock),
            self._places.take(camera, peer_of(request.scope).address),
        )
        found = await self._relay(camera, wanted)
        headers = dict(found.headers)
        if found.session is not None:
            # Relative, so that it is right behind a proxy too.
            headers["location"] = f"whep/{found.session}"
        media_type = "application/sdp" if method == "POST" else None
        response = Response(found.body, found.status, headers, media_type)
        await response(request.scope, request.receive, send)


class WhepSessionView(WhepView):
    """Route of one session."""

    methods = ("PATCH", "DELETE")


def _passed_on(request: Request, method: _Method) -> dict[str, str]:
    headers = {"content-type": _MEDIA_TYPES[method]} if method in _MEDIA_TYPES else {}
    if (tag := request.headers.get("if-match")) is not None:
        headers["if-match"] = tag[:200]
    return headers
