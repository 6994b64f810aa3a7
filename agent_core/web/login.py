"""`/login`: exchanges the code of a login link for a token, and revokes a token."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from agent_core.auth.login_codes import Login
from agent_core.base.errors import InvalidParams
from agent_core.base.moments import rfc3339
from agent_core.web.access import credentials_of, missing_credentials, peer_of, refuse_other_sites
from agent_core.web.bodies import read_body
from agent_core.web.resource import GuardedSend, Resource

__all__ = ("LoginResource",)

#: Longest body; a code has at most 4096 characters.
_LIMIT_BYTES = 8192


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    code: str = Field(min_length=1, max_length=4096)


class LoginResource(Resource):
    """Resource at `/login`.

    Args:
        redeem: exchanges a code, sent by an address; see `LoginDesk.redeem`.
        end: revokes a token, sent by an address; see `LoginDesk.end`.
    """

    methods = ("POST", "DELETE")

    def __init__(
        self, redeem: Callable[[str, str], Awaitable[Login]], end: Callable[[str, str], Awaitable[None]]
    ) -> None:
        self._redeem = redeem
        self._end = end

    async def respond(self, request: Request, send: GuardedSend) -> None:
        refuse_other_sites(request)
        if request.method == "DELETE":
            response = await self._leave(request)
        else:
            try:
                response = await self._enter(request)
            except ClientDisconnect:
                return
        await response(request.scope, request.receive, send)

    async def _enter(self, request: Request) -> Response:
        login = await self._redeem(await _code(request), peer_of(request.scope).address)
        body = {
            "token": login.token,
            "user": login.user,
            "role": str(login.role),
            "expires_at": rfc3339(login.expires_at),
        }
        return JSONResponse(body)

    async def _leave(self, request: Request) -> Response:
        token = credentials_of(request)
        if token is None:
            raise missing_credentials()
        await self._end(token, peer_of(request.scope).address)
        return Response(status_code=204)


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
