"""`/login`: exchanges the code of a login link for a token, and revokes a token."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_core.auth.login_codes import Login
from agent_core.base.errors import InvalidParams
from agent_core.base.moments import rfc3339
from agent_core.web.access import credentials_of, missing_credentials, peer_of, refuse_other_sites
from agent_core.web.bodies import read_body

__all__ = ("login_routes",)

#: Longest body; a code has at most 4096 characters.
_LIMIT_BYTES = 8192


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    code: str = Field(min_length=1, max_length=4096)


def login_routes(
    redeem: Callable[[str, str], Awaitable[Login]], end: Callable[[str, str], Awaitable[None]]
) -> list[Route]:
    """Return the routes.

    Args:
        redeem: exchanges a code, sent by an address; see `LoginDesk.redeem`.
        end: revokes a token, sent by an address; see `LoginDesk.end`.
    """

    async def answer(request: Request) -> Response:
        refuse_other_sites(request)
        try:
            code = await _code(request)
        except ClientDisconnect:
            return Response(status_code=400)
        login = await redeem(code, peer_of(request.scope).address)
        body = {
            "token": login.token,
            "user": login.user,
            "role": str(login.role),
            "expires_at": rfc3339(login.expires_at),
        }
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        return JSONResponse(body, headers=headers)

    async def leave(request: Request) -> Response:
        refuse_other_sites(request)
        token = credentials_of(request)
        if token is None:
            raise missing_credentials()
        await end(token, peer_of(request.scope).address)
        return Response(status_code=204, headers={"cache-control": "no-store"})

    return [Route("/login", answer, methods=["POST"]), Route("/login", leave, methods=["DELETE"])]


async def _code(request: Request) -> str:
    """Return the code in the body. Raises InvalidParams if the body is not what it should be."""
    # Pages of other origins cannot send this type without a permission that is never given.
    body = await read_body(request, "application/json", limit_bytes=_LIMIT_BYTES)
    try:
        return _Body.model_validate_json(body).code
    except ValidationError as error:
        raise InvalidParams(
            'The body must be {"code": CODE} with the code of a login link.', param="code", rule="form"
        ) from error
