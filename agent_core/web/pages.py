"""Pages of plugins: static files and routes below `/plugins/<plugin>/`, with the core's access and headers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import anyio
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_core.auth.live import LiveAccess
from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.plugin import WebFiles, WebPart, WebRoutes, WebUser
from agent_core.rpc.errors import only_agent_error
from agent_core.web.access import Gate, peer_of, refuse_other_sites, require, wait_expired
from agent_core.web.answers import error_response

__all__ = ("HEADERS", "page_routes")

_LOG = logging.getLogger("camera_agent.plugins")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:;"
    " connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
#: Headers of every answer below `/plugins`; what a plugin sets itself is replaced.
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": _POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)
#: The host's own table of types may say anything, and browsers run no module of another type.
_MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".ico": "image/x-icon",
        ".jpg": "image/jpeg",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".webmanifest": "application/manifest+json",
        ".woff2": "font/woff2",
    }
)
_INDEX = "index.html"


def page_routes(
    pages: Mapping[str, Sequence[WebPart]], gate: Gate, live: LiveAccess, clock: Clock
) -> list[BaseRoute]:
    """Return the routes of the plugins' pages, those at `/` last; `pages` has the checked parts by plugin."""
    routes: list[BaseRoute] = []
    root: list[BaseRoute] = []
    for plugin, parts in pages.items():
        within: list[BaseRoute] = [
            _GuardedRoute(plugin, route, part.role, _Access(gate, live, clock))
            for part in parts
            if isinstance(part, WebRoutes)
            for route in part.routes
        ]
        for part in parts:
            if isinstance(part, WebFiles):
                within.append(Mount("/", _PageFiles(part.folder)))
                if part.claims_root:
                    root.append(Mount("/", _Page(plugin, _PageFiles(part.folder))))
        if within:
            # A redirect would lead to the host that the request names, which may be any.
            page = _Page(plugin, Router(within, redirect_slashes=False))
            routes += [
                Mount(f"/plugins/{plugin}", page),
                Route(f"/plugins/{plugin}", partial(_to_folder, plugin)),
            ]
    return [*routes, *root]


async def _to_folder(plugin: str, _request: Request) -> Response:
    """Lead to the address with a slash at the end, from which the page's relative links start."""
    return Response(status_code=307, headers={"location": f"{plugin}/", **HEADERS})


class _PageFiles(StaticFiles):
    """Static files with media types of our own; `index.html` is the page without a name.

    The plugin's check has seen the folder. If it has gone since, its files are not found, and all else goes on.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(_INDEX if path == "." else path, scope)
        media_type = _MEDIA_TYPES.get(PurePosixPath(_INDEX if path == "." else path).suffix.lower())
        if media_type is not None and response.status_code == 200:
            response.headers["content-type"] = media_type
        response.headers["cache-control"] = "no-cache"
        return response


@dataclass(frozen=True, slots=True)
class _Access:
    """Check of credentials, and what ends a response when they do."""

    gate: Gate
    live: LiveAccess
    clock: Clock


class _GuardedRoute(BaseRoute):
    """Route of a plugin that only users of a role reach, and that ends with their credentials."""

    def __init__(self, plugin: str, route: Route, role: str, access: _Access) -> None:
        self._plugin = plugin
        self._route = route
        self._role = role
        self._access = access

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return self._route.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        refuse_other_sites(request)
        principal = await require(request, self._access.gate, self._role)
        scope["user"] = WebUser(principal.user_id, principal.role)
        scope["starlette.exception_handlers"] = {}, {}  # `_Page` handles all errors
        problem: Exception | None = None
        async with anyio.create_task_group() as tasks:

            def end() -> None:
                peer_of(scope).end()
                tasks.cancel_scope.cancel()

            async def expire() -> None:
                await wait_expired(principal.expires_at, self._access.clock)
                end()

            # The task group would wrap an error.
            try:
                with self._access.live.hold(partial(self._access.gate.is_current, principal.credential), end):
                    tasks.start_soon(expire)
                    with contained(f"A page of the plugin '{self._plugin}'"):
                        await self._route.handle(scope, receive, send)
            except Exception as error:  # noqa: BLE001 - `_Page` handles all errors
                problem = error
            tasks.cancel_scope.cancel()
        if problem is not None:
            raise problem


class _Page:
    """Application of one plugin's pages, with the headers of all pages; foreign code that fails harms only its answer."""

    def __init__(self, plugin: str, app: ASGIApp) -> None:
        self._plugin = plugin
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message = {**message, "headers": list(message.get("headers", ()))}
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            with contained(f"A page of the plugin '{self._plugin}'"):
                await self._app(scope, receive, guarded)
        except Exception as error:
            if has_begun:
                raise
            await self._failed(error)(scope, receive, guarded)

    def _failed(self, error: Exception) -> Response:
        """Return the answer to a request that ended with `error`; log an unexpected one."""
        if isinstance(error, HTTPException):
            return PlainTextResponse(
                f"{error.detail}\n", status_code=error.status_code, headers=error.headers
            )
        known = only_agent_error(error)
        response = error_response(known, has_more=True) if known is not None else None
        if response is None:
            _LOG.error("a page of the plugin %s failed", self._plugin, exc_info=error)
            response = PlainTextResponse(
                "The page has failed; the agent's log has the error.\n", status_code=500
            )
        return response
