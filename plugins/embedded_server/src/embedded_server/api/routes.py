"""Routes, statuses and bodies of the part of MediaMTX's API v3 that the agent uses."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from agent_core.plugin import WorkerPool
from embedded_server.api.access import api_user, given_credentials, is_json, why_foreign
from embedded_server.api.http import HttpRequest, HttpResponse
from embedded_server.api.views import (
    connection_view,
    defaults_view,
    page,
    path_options_view,
    path_view,
    server_view,
    session_view,
)
from embedded_server.config.configuration import Configuration, NotConfigured, PathOptions
from embedded_server.config.gotext import ConfigRefused, Json, dumps, time_text
from embedded_server.config.options import global_options, path_options
from embedded_server.config.secrets import SourceSecrets
from embedded_server.config.validation import refuse_commands
from embedded_server.config.writer import Writer
from embedded_server.context import ServerContext
from embedded_server.paths.paths import Paths
from embedded_server.recording import recordings
from embedded_server.rtsp.server import RtspServer

__all__ = ("Api",)

_JSON = "application/json; charset=utf-8"
_VERSION = "v1.20.1"
_LEGACY_VERSION = "v1.15.4"
_WRONG_PASSWORD_PAUSE_S = 2.0


class _NotFound(LookupError):
    """Missing resource; the message is the `error` of a 404 response."""


Handler = Callable[[HttpRequest, str], Awaitable[Json]]


class Api:
    """Handler of API requests.

    Each route's handler returns a JSON value, or None for a success without data.

    Args:
        names: host names of this server, besides its addresses and `localhost`.
    """

    def __init__(
        self,
        writer: Writer,
        paths: Paths,
        rtsp: RtspServer,
        context: ServerContext,
        names: Sequence[str] = (),
    ) -> None:
        self._names = tuple(names)
        self._writer = writer
        self._paths = paths
        self._rtsp = rtsp
        self._context = context
        self._secrets = SourceSecrets()
        self._disk = WorkerPool(1)
        self._started = context.clock.now()
        self._routes = self._make_routes()

    def _make_routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return methods, paths and handlers; a path that ends with a slash is followed by a name."""
        return (
            ("GET", "/v3/info", self._info),
            ("GET", "/v3/config/global/get", self._server_options),
            ("PATCH", "/v3/config/global/patch", self._patch_server),
            ("GET", "/v3/config/pathdefaults/get", self._default_options),
            ("PATCH", "/v3/config/pathdefaults/patch", self._patch_defaults),
            ("GET", "/v3/config/paths/list", self._list_options),
            ("GET", "/v3/config/paths/get/", self._path_options),
            ("POST", "/v3/config/paths/add/", self._add_path),
            ("PATCH", "/v3/config/paths/patch/", self._patch_path),
            ("POST", "/v3/config/paths/replace/", self._replace_path),
            ("DELETE", "/v3/config/paths/delete/", self._delete_path),
            ("GET", "/v3/paths/list", self._list_paths),
            ("GET", "/v3/paths/get/", self._get_path),
            ("GET", "/v3/rtspsessions/list", self._list_sessions),
            ("GET", "/v3/rtspsessions/get/", self._get_session),
            ("POST", "/v3/rtspsessions/kick/", self._kick_session),
            ("GET", "/v3/rtspconns/list", self._list_connections),
            ("GET", "/v3/rtspconns/get/", self._get_connection),
            ("GET", "/v3/recordings/list", self._list_recordings),
            ("GET", "/v3/recordings/get/", self._get_recording),
            ("DELETE", "/v3/recordings/deletesegment", self._delete_segment),
        )

    async def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse web pages, then clients without permission, then bodies not declared as JSON."""
        await self._context.faults.audible()
        if (why := why_foreign(request, self._names)) is not None:
            return self._error(403, why)
        if (refusal := await self._refuse_stranger(request)) is not None:
            return refusal
        if request.has_body and not is_json(request.headers.get("content-type", "")):
            return self._error(415, "Content-Type must be application/json")
        return None

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer a request that `refuse` has admitted."""
        for method, address, handler in self._routes:
            takes_name = address.endswith("/")
            if request.path == address or (takes_name and request.path.startswith(address)):
                if method == request.method:
                    return await self._call(handler, request, request.path.removeprefix(address))
            elif method == request.method and request.path.rstrip("/") == address.rstrip("/"):
                return _redirect(request.method, address)
        return HttpResponse(404, b"404 page not found", "text/plain")

    async def _call(self, handler: Handler, request: HttpRequest, name: str) -> HttpResponse:
        try:
            if request.body is None:
                raise ConfigRefused("size exceeds maximum allowed")
            value = await handler(request, name)
        except ConfigRefused as error:
            return self._error(400, str(error))
        except NotConfigured:
            return self._error(404, "path not found")
        except _NotFound as error:
            return self._error(404, str(error))
        if value is None:
            body = b"" if self._context.legacy else b'{"status":"ok"}'
            return HttpResponse(200, body, "" if self._context.legacy else _JSON)
        return HttpResponse(200, dumps(value).encode(errors="replace"), _JSON)

    def _error(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpResponse:
        if self._context.legacy and status == 401:
            return HttpResponse(401, headers=headers)
        value: dict[str, Json] = {} if self._context.legacy else {"status": "error"}
        body = dumps({**value, "error": text}).encode(errors="replace")
        return HttpResponse(status, body, _JSON, headers)

    async def _refuse_stranger(self, request: HttpRequest) -> HttpResponse | None:
        users = self._writer.current.server["authInternalUsers"]
        if api_user(users, self._context.agent, request) is not None:
            return None
        if given_credentials(request) is not None:
            await anyio.sleep(_WRONG_PASSWORD_PAUSE_S)
            return self._error(401, "authentication error")
        return self._error(401, "authentication error", (("WWW-Authenticate", 'Basic realm="mediamtx"'),))

    async def _info(self, _request: HttpRequest, _name: str) -> Json:
        version = _LEGACY_VERSION if self._context.legacy else _VERSION
        return {"version": version, "started": time_text(self._started)}

    async def _server_options(self, _request: HttpRequest, _name: str) -> Json:
        return server_view(self._writer.current)

    async def _patch_server(self, request: HttpRequest, _name: str) -> Json:
        options = global_options(request.body or b"")
        if not self._is_agent(request):
            refuse_commands(options, self._writer.current.server)
        await self._writer.write(lambda current: current.with_server(options))
        return None

    async def _default_options(self, _request: HttpRequest, _name: str) -> Json:
        return defaults_view(self._writer.current, legacy=self._context.legacy)

    async def _patch_defaults(self, request: HttpRequest, _name: str) -> Json:
        options = path_options(request.body or b"", legacy=self._context.legacy)
        await self._write(request, options, lambda current: current.with_defaults(options))
        return None

    async def _write(
        self,
        request: HttpRequest,
        options: PathOptions,
        change: Callable[[Configuration], Configuration],
        name: str | None = None,
    ) -> None:
        """Change options of the path `name`, or of all paths if it is None."""
        commands_allowed = self._is_agent(request)

        def checked(current: Configuration) -> Configuration:
            known = current.overrides.get(name, {}) if name is not None else {}
            if not commands_allowed:
                refuse_commands(options, {**current.path_defaults, **known})
            changed = change(current)
            if "recordPath" in options:
                self._context.roots.check(str(options["recordPath"]))
            return changed

        await self._writer.write(checked)

    def _is_agent(self, request: HttpRequest) -> bool:
        users = self._writer.current.server["authInternalUsers"]
        user = api_user(users, self._context.agent, request)
        return user is not None and user.is_agent

    async def _list_options(self, request: HttpRequest, _name: str) -> Json:
        current = self._writer.current
        shown = [self._shown(request, current.path(name), name) for name in sorted(current.overrides)]
        return page(request.query, shown)

    def _shown(self, request: HttpRequest, options: PathOptions, name: str) -> Json:
        if not self._is_agent(request):
            options = self._secrets.shown(options)
        return path_options_view(name, options, legacy=self._context.legacy)

    async def _path_options(self, request: HttpRequest, name: str) -> Json:
        try:
            return self._shown(request, self._writer.current.path(_named(name)), name)
        except NotConfigured:
            raise _NotFound("path configuration not found") from None

    def _asked(self, request: HttpRequest, name: str) -> PathOptions:
        """Return the options of the path `name` that the request sets."""
        options = path_options(_named_body(name, request), legacy=self._context.legacy)
        if not self._is_agent(request):
            return self._secrets.meant(options, self._writer.current.overrides.get(name, {}))
        self._secrets.keep(options)
        return options

    async def _add_path(self, request: HttpRequest, name: str) -> Json:
        options = self._asked(request, name)
        await self._write(request, options, lambda current: current.with_path(name, options, new=True), name)
        return None

    async def _patch_path(self, request: HttpRequest, name: str) -> Json:
        options = self._asked(request, name)
        await self._write(request, options, lambda current: current.with_patched_path(name, options), name)
        return None

    async def _replace_path(self, request: HttpRequest, name: str) -> Json:
        options = self._asked(request, name)
        await self._write(request, options, lambda current: current.with_path(name, options), name)
        return None

    async def _delete_path(self, _request: HttpRequest, name: str) -> Json:
        await self._writer.write(partial(Configuration.without_path, name=_named(name)))
        return None

    async def _list_paths(self, request: HttpRequest, _name: str) -> Json:
        paths = self._paths.view().values()
        return page(request.query, [path_view(path, legacy=self._context.legacy) for path in paths])

    async def _get_path(self, _request: HttpRequest, name: str) -> Json:
        path = self._paths.get(_named(name))
        if path is None:
            raise _NotFound("path not found")
        return path_view(path, legacy=self._context.legacy)

    async def _list_sessions(self, request: HttpRequest, _name: str) -> Json:
        return page(request.query, list(self._sessions().values()))

    def _sessions(self) -> dict[str, Json]:
        with_session = ((one, one.session) for one in self._rtsp.connections)
        found = [(session, one.id) for one, session in with_session if session is not None]
        found.sort(key=lambda each: each[0].created)
        return {
            session.id: session_view(session, connection, legacy=self._context.legacy)
            for session, connection in found
        }

    async def _get_session(self, _request: HttpRequest, name: str) -> Json:
        return _pick(self._sessions(), name, "session not found")

    async def _kick_session(self, _request: HttpRequest, name: str) -> Json:
        wanted = _uuid(name)
        for session in self._rtsp.sessions:
            if session.id == wanted:
                session.close()
                return None
        raise _NotFound("session not found")

    async def _list_connections(self, request: HttpRequest, _name: str) -> Json:
        return page(request.query, list(self._connections().values()))

    def _connections(self) -> dict[str, Json]:
        legacy = self._context.legacy
        return {one.id: connection_view(one, legacy=legacy) for one in self._rtsp.connections}

    async def _get_connection(self, _request: HttpRequest, name: str) -> Json:
        return _pick(self._connections(), name, "connection not found")

    async def _list_recordings(self, request: HttpRequest, _name: str) -> Json:
        roots = self._context.roots
        found = await self._disk.run(recordings.all_recordings, self._writer.current, roots)
        return page(request.query, found)

    async def _get_recording(self, _request: HttpRequest, name: str) -> Json:
        roots = self._context.roots
        return await self._disk.run(recordings.recordings_of, self._writer.current, roots, _named(name))

    async def _delete_segment(self, request: HttpRequest, _name: str) -> Json:
        path, start = request.query.get("path", ""), request.query.get("start", "")
        roots = self._context.roots
        await self._disk.run(recordings.delete_segment, self._writer.current, roots, path, start)
        return None


def _redirect(method: str, address: str) -> HttpResponse:
    location = (("Location", address),)
    if method != "GET":
        return HttpResponse(307, headers=location)
    body = f'<a href="{address}">Moved Permanently</a>.\n\n'.encode()
    return HttpResponse(301, body, "text/html; charset=utf-8", location)


def _named(name: str) -> str:
    if not name:
        raise ConfigRefused("invalid name")
    return name


def _named_body(name: str, request: HttpRequest) -> bytes:
    _named(name)
    return request.body or b""


def _uuid(text: str) -> str:
    if len(text) != 36:
        raise ConfigRefused(f"invalid UUID length: {len(text)}")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ConfigRefused("invalid UUID format") from None


def _pick(views: dict[str, Json], name: str, missing: str) -> Json:
    try:
        return views[_uuid(name)]
    except KeyError:
        raise _NotFound(missing) from None
