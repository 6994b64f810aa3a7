"""Bodies of requests, read within limits of media type, size and time."""

import anyio
from starlette.requests import Request

from agent_core.base.errors import InvalidParams

__all__ = ("read_body",)

#: Time for a whole body. A peer keeps its slot while it is answered, so one that sends no end would keep it for good.
_BODY_S = 10.0


async def read_body(
    request: Request, media_type: str | None, *, limit_bytes: int, within_s: float = _BODY_S
) -> bytes:
    """Return the whole body.

    Args:
        request: the request, of which nothing was read yet.
        media_type: the only one to accept, without parameters; None accepts all.
        limit_bytes: largest size.
        within_s: longest time until the end of the body.

    Raises:
        InvalidParams: `media_type`, `too_long` or `too_slow` is its rule.
        ClientDisconnect: the client has left.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type is not None and kind != media_type:
        raise InvalidParams(
            f"The body must be {media_type}.", param="content-type", rule="media_type", hint=media_type
        )
    body = bytearray()
    with anyio.move_on_after(within_s) as limit:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit_bytes:
                raise InvalidParams(
                    f"The body is longer than {limit_bytes} bytes.", param="body", rule="too_long"
                )
    if limit.cancelled_caught:
        raise InvalidParams(f"The body took longer than {within_s:g} s.", param="body", rule="too_slow")
    return bytes(body)
