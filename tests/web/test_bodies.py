"""Bodies of requests within limits; the routes' own tests cover media type and size over HTTP."""

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from agent_core.base.errors import InvalidParams
from agent_core.web.answers import error_response
from agent_core.web.bodies import read_body


def request_of(*messages: Message) -> Request:
    """Return a request whose client sends `messages`, and then nothing more."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    return Request({"type": "http", "headers": [(b"content-type", b"Text/Plain; charset=x")]}, receive)


def part(body: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


async def test_a_body_is_put_together() -> None:
    request = request_of(part(b"a", more_body=True), part(b"b", more_body=False))
    assert await read_body(request, "text/plain", limit_bytes=2) == b"ab"


@pytest.mark.parametrize(
    ("media_type", "limit_bytes", "rule", "status"),
    [("text/html", 9, "media_type", 415), (None, 3, "too_long", 413), ("text/plain", 9, "too_slow", 408)],
)
async def test_a_body_beyond_a_limit_is_refused(
    media_type: str | None, limit_bytes: int, rule: str, status: int
) -> None:
    request = request_of(part(b"long", more_body=True))
    with anyio.fail_after(30), pytest.raises(InvalidParams) as caught:
        await read_body(request, media_type, limit_bytes=limit_bytes, within_s=0.01)
    assert caught.value.rule == rule
    response = error_response(caught.value)
    assert response is not None
    assert response.status_code == status
