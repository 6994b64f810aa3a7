"""MediaMTX's HTTP API v3 as methods. Answers are judged by their status; their texts are only for people."""

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
from agent_core.mediamtx.schema import Features, Page, PathConf, RecordedPath, RuntimePath, ServerInfo
from agent_core.plugin.rtsp import Credentials

__all__ = ("CALL_TIMEOUT_S", "MediaServerClient", "open_transport")

#: Longest time for one call, its repetition included. A server that accepts and hangs has to be noticed by the
#: circuit breaker, which counts failures in a window of 10 s.
CALL_TIMEOUT_S = 1.5
#: How a pooled connection that the server has closed in the meantime shows (it does so after 30 s, and on a reload).
_DEAD_CONNECTION = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)

M = TypeVar("M", bound=BaseModel)


def open_transport(api_url: str) -> httpx.AsyncBaseTransport:
    """The way to `api_url`, for those who wrap it; the client that gets it closes it."""
    at = urlsplit(api_url)
    if at.scheme == "https":
        return httpx.AsyncHTTPTransport()
    # Without TLS the certificates of the system are not read, which takes 20 ms and 1 MB for each transport.
    trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncHTTPTransport(uds=at.path if at.scheme == "unix" else None, verify=trusts_none)


def _base_url(api_url: str) -> tuple[str, Credentials | None]:
    """The address without user and password, and these."""
    try:
        at = urlsplit(api_url)
        port = f":{at.port}" if at.port else ""
    except ValueError:
        at, port = urlsplit(""), ""
    if at.scheme == "unix" and at.path:
        return "http://localhost", None
    if at.scheme not in ("http", "https") or not at.hostname:
        raise ConfigError(
            "The media server's API address is not one: http://HOST:PORT, https://HOST:PORT or unix:///PATH.",
            reason="invalid_address",
        )
    user = Credentials(unquote(at.username), unquote(at.password or "")) if at.username else None
    host = f"[{at.hostname}]" if ":" in at.hostname else at.hostname
    return f"{at.scheme}://{host}{port}{at.path}", user


class MediaServerClient:
    """One media server. Open it with `async with`; it may then be used by any number of tasks.

    All methods raise `MediaServerUnavailable` (no connection, no answer in time, 5xx), `MediaServerRefused` (any
    other status but success) or a plain `MediaServerError` (a success that is not MediaMTX's).

    Args:
        api_url: `http://127.0.0.1:9997`, https, or `unix:///run/x.sock`; user and password may be in it, and
            a path, where a proxy has put the API below one.
        credentials: for HTTP Basic; instead of those in the address.
        token: for `Authorization: Bearer`; instead of user and password.
        timeout_s: for a whole call, at most `CALL_TIMEOUT_S`. A server from v1.19.3 on delays the answer to a wrong
            password by up to 4 s, so that looks like a time-out.
        transport: `open_transport(api_url)` if not given; a wrapper goes here.
        page_items: how much of a list to ask for at once.
        breaker: guards every call; `CircuitOpen`, which is a `MediaServerUnavailable`, while it is open.
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
            trust_env=False,  # a proxy of the environment is not for this
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
        """Version and start; both unset for a server that has no such call (before v1.15.2)."""
        return await self._get_or_none("/v3/info", ServerInfo) or ServerInfo()

    async def features(self) -> Features:
        """Return the server's features; asked once, and again after the server was unavailable."""
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

    async def path_config(self, name: str) -> PathConf | None:
        """Return the configuration of `name`, defaults included; None if there is none.

        A server since v1.20.1 answers a write before it shows here.
        """
        return await self._get_or_none(f"/v3/config/paths/get/{_quoted(name)}", PathConf)

    async def list_path_configs(self) -> tuple[PathConf, ...]:
        return await self._pages("/v3/config/paths/list", PathConf)

    async def add_path(self, name: str, conf: PathConf) -> None:
        """Refused with 400, among other reasons, if the path is configured already."""
        await self._call("POST", f"/v3/config/paths/add/{_quoted(name)}", conf.wire())

    async def replace_path(self, name: str, conf: PathConf) -> None:
        """Make `conf` the whole of the path's own settings; creates the path. Ends its streams unless all that changes is hot."""
        await self._call("POST", f"/v3/config/paths/replace/{_quoted(name)}", conf.wire())

    async def patch_path(self, name: str, conf: PathConf) -> None:
        """Change what `conf` names; anything that is not hot ends the path's streams."""
        await self._call("PATCH", f"/v3/config/paths/patch/{_quoted(name)}", conf.wire())

    async def delete_path(self, name: str) -> None:
        await self._call("DELETE", f"/v3/config/paths/delete/{_quoted(name)}")

    async def path(self, name: str) -> RuntimePath | None:
        """The path as it is now; None if it is not there."""
        return await self._get_or_none(f"/v3/paths/get/{_quoted(name)}", RuntimePath)

    async def list_paths(self) -> tuple[RuntimePath, ...]:
        return await self._pages("/v3/paths/list", RuntimePath)

    async def recordings(self) -> tuple[RecordedPath, ...]:
        """Return the files below each path's current `recordPath`; the server walks its disk for this."""
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
        """Return all items. What moves between pages while they are read may come twice or not at all.

        A page without items ends the list, whatever number of pages the server speaks of.
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
        """One request; it is repeated once if its connection turns out to be dead.

        The server may have acted on the first of two all the same: a repeated `add` can find the path, a repeated
        `delete` miss it.
        """
        try:
            return await self._http.request(method, path, json=body)
        except _DEAD_CONNECTION:
            return await self._http.request(method, path, json=body)


def _quoted(name: str) -> str:
    """`name` within a URL; the slashes of a path's name stay slashes."""
    return quote(name, safe="/")


def _validated(model: type[M], data: Any) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _not_mediamtx() from error


def _not_mediamtx() -> MediaServerError:
    return MediaServerError(
        "The media server's answer is not one of MediaMTX's API v3.",
        reason="unexpected_answer",
        suggestion="Check that the configured API address is that of MediaMTX, not of another service.",
    )


def _unreachable(error: Exception) -> MediaServerUnavailable:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return MediaServerUnavailable(
            "The media server did not answer in time.",
            reason="timed_out",
            suggestion="Check the media server's load and, as it delays wrong ones, its user and password.",
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
        "The media server wants other credentials."
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
    """The error's text: JSON of either age, or whatever came, without its line ends."""
    try:
        text = response.json()["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = response.text
    return " ".join(str(text).split()) or f"status {response.status_code}"
