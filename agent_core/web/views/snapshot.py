"""`snapshot.jpg`: a picture by the snapshot tiers, which is not stored."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request

from agent_core.base.errors import AgentError
from agent_core.base.moments import rfc3339
from agent_core.base.waiting import first_of
from agent_core.snapshots.models import SnapshotRequest, TakenPicture
from agent_core.web.answers import wait_gone
from agent_core.web.resource import GuardedSend
from agent_core.web.views.access import Grant, ViewAccess
from agent_core.web.views.meter import ViewMeter
from agent_core.web.views.query import PictureParams, camera_of, params_of
from agent_core.web.views.view import View

__all__ = ("SnapshotView", "TakePicture")

#: Takes a picture of a camera. Raises NotFound, CaptureFailed or RateLimited.
TakePicture = Callable[[str, SnapshotRequest], Awaitable[TakenPicture]]
#: Bytes of a picture that are sent at once.
_CHUNK_BYTES = 256 << 10


class SnapshotView(View):
    """Route of single pictures. Requests at the same time share captures, as calls of `take_snapshot` do."""

    kind = "snapshot"

    def __init__(self, access: ViewAccess, take_picture: TakePicture, meter: ViewMeter) -> None:
        super().__init__(access, meter)
        self._take = take_picture

    async def answer(self, request: Request, grant: Grant, send: GuardedSend) -> None:
        params = params_of(request, PictureParams)
        wanted = SnapshotRequest(
            format=params.format,
            quality=params.quality,
            width=params.width,
            max_age_ms=params.max_age_ms,
            user=grant.user,
        )
        taken: TakenPicture | None = None
        problem: AgentError | None = None

        async def take() -> None:
            nonlocal taken, problem
            try:
                taken = await self._take(camera_of(request), wanted)
            except AgentError as error:
                problem = error

        await first_of(partial(wait_gone, request.receive), take)
        if problem is not None:
            raise problem
        if taken is not None:
            await _send_picture(taken, send)
            if request.method == "GET":
                self._meter.sent(self.kind)


async def _send_picture(taken: TakenPicture, send: GuardedSend) -> None:
    """Send the picture piece by piece: clients that do not read share it, and only their next piece is copied."""
    data = taken.picture.data
    headers = _headers(taken) | {"content-length": str(len(data))}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES]
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _headers(taken: TakenPicture) -> dict[str, str]:
    picture = taken.picture
    return {
        "content-type": picture.format.media_type,
        "content-disposition": "inline",
        "x-captured-at": rfc3339(taken.captured_at),
        "x-captured-at-source": picture.captured_at_source,
        "x-timestamp": f"{taken.captured_at.timestamp():.6f}",
        "x-age-ms": str(round(taken.age_s * 1000)),
        "x-tier": str(taken.tier_rank),
        "x-tier-name": taken.tier_name.encode("ascii", "replace").decode(),
        "x-resolution": f"{picture.width}x{picture.height}",
    }
