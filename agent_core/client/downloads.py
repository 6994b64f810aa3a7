"""Downloads of the agent's files over HTTP: complete, or not at all."""

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import anyio.to_thread

from agent_core.client.address import AgentAddress
from agent_core.client.errors import AgentUnreachable, DownloadFailed
from agent_core.client.login import Login

if TYPE_CHECKING:
    import httpx

__all__ = ("Download", "Downloads", "FileKind")

FileKind = Literal["snapshots", "recordings"]

_CONNECT_TIMEOUT_S = 10.0
#: Longest pause of an agent while it sends.
_READ_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Download:
    """Downloaded file. `next_url` is the address of its continuation, a recording's next segment."""

    size_bytes: int
    next_url: str | None


class Downloads:
    """Downloads from the agent at `url`. `aclose` closes the connections."""

    def __init__(self, url: str, login: Login, ssl: SSLContext | None) -> None:
        address = AgentAddress.parse(url)
        self._origin = address.origin
        self._socket_path = address.socket_path
        self._login = login
        self._ssl = ssl
        self._http: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        if self._http is not None:
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                await self._http.aclose()

    async def read(self, url_or_name: str, kind: FileKind, size_bytes: int | None) -> bytes:
        content = bytearray()
        async with self._response(url_or_name, kind, size_bytes) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
        return bytes(content)

    async def save(self, path: Path, url_or_name: str, kind: FileKind, size_bytes: int | None) -> Download:
        partial = await anyio.to_thread.run_sync(_PartialFile, path)
        try:
            async with self._response(url_or_name, kind, size_bytes) as response:
                async for chunk in response.aiter_bytes():
                    await anyio.to_thread.run_sync(partial.write, chunk)
                next_url = response.links.get("next", {}).get("url")
            return Download(await anyio.to_thread.run_sync(partial.publish), next_url)
        finally:
            partial.discard()

    def locate(self, url_or_name: str, kind: FileKind) -> str:
        """Return the address for a `download_url`, which may be relative, or for a name from the agent's lists."""
        if url_or_name.startswith(("/", "http://", "https://")):
            return urljoin(self._origin, url_or_name)
        return f"{self._origin}/files/{kind}/{quote(url_or_name)}"

    def _headers(self, url: str) -> dict[str, str]:
        """Return the headers; they carry the token only to the agent, and only if the link is not signed."""
        headers = {"Accept-Encoding": "identity"}
        is_signed = "sig" in parse_qs(urlsplit(url).query)
        token = self._login.token
        if token is not None and not is_signed and url.startswith(f"{self._origin}/"):
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _client(self) -> "httpx.AsyncClient":
        if self._http is None:
            import httpx

            timeout = httpx.Timeout(_CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S)
            verify = self._ssl if self._ssl is not None else True
            through = {}
            if self._socket_path is not None:
                through = {self._origin: httpx.AsyncHTTPTransport(uds=self._socket_path)}
            # As for the WebSocket: no environment proxy, no redirect, no netrc.
            self._http = httpx.AsyncClient(timeout=timeout, trust_env=False, verify=verify, mounts=through)
        return self._http

    @asynccontextmanager
    async def _response(
        self, url_or_name: str, kind: FileKind, size_bytes: int | None
    ) -> AsyncGenerator["httpx.Response"]:
        import httpx

        url = self.locate(url_or_name, kind)
        try:
            async with self._client().stream("GET", url, headers=self._headers(url)) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise _refused(response)
                yield response
                _check_size(response.num_bytes_downloaded, size_bytes)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise AgentUnreachable(
                "The agent's HTTP port cannot be reached.", reason="unreachable"
            ) from error
        except httpx.TransportError as error:
            raise _incomplete("The download broke off.") from error
        except httpx.InvalidURL as error:
            raise DownloadFailed("The download's address is not a URL.", reason="bad_url") from error


def _check_size(received_bytes: int, size_bytes: int | None) -> None:
    if size_bytes is not None and received_bytes != size_bytes:
        raise _incomplete(f"The download has {received_bytes} bytes instead of {size_bytes}.")


def _incomplete(details: str) -> DownloadFailed:
    return DownloadFailed(details, reason="download_incomplete", suggestion="Try the download again.")


def _refused(response: "httpx.Response") -> DownloadFailed:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    said = body if isinstance(body, dict) else {}
    return DownloadFailed(
        str(said.get("details") or f"The download was refused (HTTP status {response.status_code})."),
        reason=str(said.get("reason") or "download_refused"),
        suggestion=str(said.get("suggestion") or "") or None,
        status=response.status_code,
    )


class _PartialFile:
    """New file beside `path` that replaces it when complete. Blocks on the disk; raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._temporary = self._path.with_name(f".partial-{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._temporary, flags, 0o666), "wb")

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def publish(self) -> int:
        self._file.flush()
        os.fsync(self._file.fileno())
        size_bytes = self._file.tell()
        self._temporary.replace(self._path)
        return size_bytes

    def discard(self) -> None:
        """Close and remove the temporary file; after `publish`, only close it."""
        try:
            self._file.close()
        finally:
            self._temporary.unlink(missing_ok=True)
