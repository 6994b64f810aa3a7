"""Client of MediaMTX's HTTP API v3. It judges answers by their status; their texts are for people only."""

import ssl
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote, urlsplit

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.errors import ConfigError, MediaServerError, MediaServerRefused, MediaServerUnavailable
from agent_core.mediamtx.breaker import CircuitBreaker
from agent_core.mediamtx.redaction import without_addresses
from agent_core.mediamtx.schema import (
    Features,
    GlobalConf,
    Page,
    PathConf,
    RecordedPath,
    RuntimePath,
    ServerInfo,
)
from agent_core.plugin.rtsp import Credentials

__all__ = ("CALL_TIMEOUT_S", "MediaServerClient", "open_transport")

#: Longest time for one call, its repetition included: the circuit breaker counts failures in a window of 10 s, and
#: has to notice a server that accepts connections and hangs.
CALL_TIMEOUT_S = 1.5
#: Errors of a pooled connection that the server has closed (it does so after 30 s, and on a reload).
_DEAD_CONNECTION = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)

M = TypeVar("M", bound=BaseModel)


def open_transport(api_url: str) -> httpx.AsyncBaseTransport:
    """Return the transport to `api_url`, for wrapping; the client that is given it closes it."""
    at = urlsplit(api_url)
    if at.scheme == "https":
        return httpx.AsyncHTTPTransport()
    # Without TLS, don't read the system's certificates: that takes 20 ms and 1 MB for each transport.
    trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncHTTPTransport(uds=at.path if at.scheme == "unix" else None, verify=trusts_none)


def _base_url(api_url: str) -> tuple[str, Credentials | None]:
    """Split `api_url` into the address without user and password, and the credentials."""
    try:
        at = urlsplit(api_url)
        port = f":{at.port}" if at.port else ""
    except ValueError:
        at, port = urlsplit(""), ""
    if at.scheme == "unix" and at.path:
        return "http://localhost", None
    if at.scheme not in ("http", "https") or not at.hostname:
        raise ConfigError(
            "The media server's API address must be http://HOST:PORT, https://HOST:PORT or unix:///PATH.",
            reason="invalid_address",
        )
    user = Credentials(unquote(at.username), unquote(at.password or "")) if at.username else None
    host = f"[{at.hostname}]" if ":" in at.hostname else at.hostname
    return f"{at.scheme}://{host}{port}{at.path}", user


class MediaServerClient:
    """Client of one media server. Open it with `async with`; then any number of tasks may use it.

    All methods raise `MediaServerUnavailable` (no connection, no answer in time, 5xx), `MediaServerRefused` (any
    other failure status) or a plain `MediaServerError` (a success that is not MediaMTX's).

    Args:
        api_url: `http://127.0.0.1:9997`, https, or `unix:///run/x.sock`; may contain user and password, and the path
            below which a proxy serves the API.
        credentials: for HTTP Basic; they replace those in the address.
        token: for `Authorization: Bearer`; it replaces user and password.
        timeout_s: limit of a whole call, at most `CALL_TIMEOUT_S`. From v1.19.3 on, the server delays the answer to a
            wrong password by up to 4 s, so a wrong password looks like a time-out.
        transport: a wrapped transport; default: `open_transport(api_url)`.
        page_items: number of items to ask for in each page of a list.
        breaker: guards every call; while it is open, calls raise `CircuitOpen`, a `MediaServerUnavailable`.
    """

    def __init__(
        self,
        api_url: str,
        *,
        credentials: Credentials | None = None,
        token: str | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
        page_items: int = 500,
        breaker: CircuitBreaker | None = None,
        clock: Clock | None = None,
    ) -> None:
        base_url, in_url = _base_url(api_url)
        known = credentials or in_url
        self._timeout_s = min(timeout_s, CALL_TIMEOUT_S)
        self._page_items = page_items
        self._features: Features | None = None
        self._breaker = breaker
        self._clock = clock or SystemClock()
        self._http = httpx.AsyncClient(
            base_url=base_url,
            auth=httpx.BasicAuth(known.user, known.password) if known and token is None else None,
            headers={"Authorization": f"Bearer {token}"} if token is not None else None,
            timeout=self._timeout_s,
            transport=transport or open_transport(api_url),
            trust_env=False,  # proxies of the environment are for other hosts
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._http.__aexit__(exc_type, exc_value, traceback)

    async def info(self) -> ServerInfo:
        """Return version and start time; both unset for a server without this call (before v1.15.2)."""
        return await self._get_or_none("/v3/info", ServerInfo) or ServerInfo()

    async def features(self) -> Features:
        """Return the server's features; read once, and again after the server was unavailable."""
        if self._features is None:
            numbers = (await self.info()).version_numbers
            found = Features.of_version(numbers) if numbers else await self._features_by_fields()
            self._features = found
        return self._features

    async def _features_by_fields(self) -> Features:
        try:
            known = self._json(await self._call("GET", "/v3/config/pathdefaults/get"))
        except MediaServerRefused:
            return Features()
        return Features.of_keys(frozenset(known) if isinstance(known, dict) else frozenset())

    async def protocols(self) -> tuple[str, ...]:
        """Return the names of the protocols that the server has switched on.

        A server that keeps its configuration from the agent serves at least RTSP, which the agent itself uses.
        """
        try:
            known = await self._get_or_none("/v3/config/global/get", GlobalConf)
        except MediaServerUnavailable:
            raise
        except MediaServerError:
            known = None
        return known.protocols if known else ("rtsp",)

    async def path_config(self, name: str) -> PathConf | None:
        """Return the configuration of `name`, defaults included; None if it is not configured.

        From v1.20.1 on, the server answers a write before this method shows it.
        """
        return await self._get_or_none(f"/v3/config/paths/get/{_quoted(name)}", PathConf)

    async def list_path_configs(self) -> tuple[PathConf, ...]:
        return await self._pages("/v3/config/paths/list", PathConf)

    async def add_path(self, name: str, conf: PathConf) -> None:
        """Create the path; refused with 400, among other reasons, if it is configured already."""
        await self._call("POST", f"/v3/config/paths/add/{_quoted(name)}", conf.wire())

    async def replace_path(self, name: str, conf: PathConf) -> None:
        """Replace all of the path's own settings, or create it. Ends its streams unless only hot settings change."""
        await self._call("POST", f"/v3/config/paths/replace/{_quoted(name)}", conf.wire())

    async def patch_path(self, name: str, conf: PathConf) -> None:
        """Change the settings that `conf` has; a change of one that is not hot ends the path's streams."""
        await self._call("PATCH", f"/v3/config/paths/patch/{_quoted(name)}", conf.wire())

    async def delete_path(self, name: str) -> None:
        await self._call("DELETE", f"/v3/config/paths/delete/{_quoted(name)}")

    async def path(self, name: str) -> RuntimePath | None:
        """Return the path's current state; None if the path does not exist."""
        return await self._get_or_none(f"/v3/paths/get/{_quoted(name)}", RuntimePath)

    async def list_paths(self) -> tuple[RuntimePath, ...]:
        return await self._pages("/v3/paths/list", RuntimePath)

    async def recordings(self) -> tuple[RecordedPath, ...]:
        """Return the files below each path's current `recordPath`; the server walks its disk for it."""
        return await self._pages("/v3/recordings/list", RecordedPath)

    async def _get_or_none(self, path: str, model: type[M]) -> M | None:
        try:
            response = await self._call("GET", path)
        except MediaServerRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return _validated(model, self._json(response))

    async def _pages(self, path: str, model: type[M]) -> tuple[M, ...]:
        """Return all items. Items that move between pages during the read may come twice or not at all.

        An empty page ends the list, regardless of the server's page count.
        """
        items: list[M] = []
        number, count = 0, 1
        while number < count:
            answer = await self._call("GET", f"{path}?itemsPerPage={self._page_items}&page={number}")
            page = _validated(Page[model], self._json(answer))  # type: ignore[valid-type]
            if not page.items:
                break
            items += page.items
            number, count = number + 1, page.page_count
        return tuple(items)

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise _not_mediamtx() from error

    async def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        with self._breaker.guard(self._clock) if self._breaker else nullcontext():
            return await self._ask(method, path, body)

    async def _ask(self, method: str, path: str, body: object) -> httpx.Response:
        if (
            self._http.is_closed
        ):  # the agent ends: a task may get its last answer and call again before it is cancelled
            raise MediaServerUnavailable("The agent is ending.", reason="connection_lost")
        try:
            with anyio.fail_after(self._timeout_s):
                response = await self._send(method, path, body)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            self._features = None
            raise _unreachable(error) from error
        if response.is_server_error:
            self._features = None
        if not response.is_success:
            raise _refusal(method, path, response)
        return response

    async def _send(self, method: str, path: str, body: object) -> httpx.Response:
        """Send one request, and repeat it once if its connection turns out to be dead.

        The server may have acted on the first one: a repeated `add` may find the path, a repeated `delete` may not.
        """
        try:
            return await self._http.request(method, path, json=body)
        except _DEAD_CONNECTION:
            return await self._http.request(method, path, json=body)


def _quoted(name: str) -> str:
    """Quote `name` for a URL; slashes of a path's name stay slashes."""
    return quote(name, safe="/")


def _validated(model: type[M], data: Any) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _not_mediamtx() from error


def _not_mediamtx() -> MediaServerError:
    return MediaServerError(
        "The media server's answer does not follow MediaMTX's API v3.",
        reason="unexpected_answer",
        suggestion="Check that the configured API address belongs to MediaMTX, not to another service.",
    )


def _unreachable(error: Exception) -> MediaServerUnavailable:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return MediaServerUnavailable(
            "The media server did not answer in time.",
            reason="timed_out",
            suggestion="Check the media server's load, and its user and password: it delays its answer to wrong ones.",
        )
    if isinstance(error, httpx.ConnectError):
        return MediaServerUnavailable("The media server cannot be reached.", reason="connection_refused")
    return MediaServerUnavailable("The media server dropped the connection.", reason="connection_lost")


def _refusal(method: str, path: str, response: httpx.Response) -> MediaServerError:
    text = _server_text(response)
    shown = without_addresses(text)[:300]
    if response.is_server_error:
        return MediaServerUnavailable(
            f"The media server failed with status {response.status_code}.",
            reason="server_error",
            detail=shown,
        )
    unauthorized = response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    return MediaServerRefused(
        "The media server rejects the agent's credentials."
        if unauthorized
        else f"The media server refused: {shown}.",
        method=method,
        path=path.partition("?")[0],
        status=response.status_code,
        server_text=text,
        reason="not_authorized" if unauthorized else None,
        suggestion="Configure the user and password of the media server's API." if unauthorized else None,
        detail=shown,
    )


def _server_text(response: httpx.Response) -> str:
    """Return the error's text on one line: from the JSON of old or new versions, else the whole body."""
    try:
        text = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = response.text
    return " ".join(str(text).split()) or f"status {response.status_code}"
