"""Passwords for servers that cannot ask for them so: Digest with SHA-256, several challenges at once.

MediaMTX and GStreamer offer Basic and Digest with MD5 only. The gate lets requests through to a real server on the
same host once they prove the password. Its arithmetic is that of RFC 7616, written apart from the agent's; curl and
MediaMTX, as clients, judge it in `test_network_kit.py`.
"""

import hashlib
import re
import secrets
import socket
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import SocketListener, SocketStream

from agent_core.plugin.rtsp import Credentials

from .cameras import USER
from .lan import Host

__all__ = ("Gate", "running_gate")

_REALM = "camera of the test, north"
_HASHES: Mapping[str, Callable[[bytes], "hashlib._Hash"]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass
class Gate:
    """Gate that is open to `credentials`. `schemes` are offered in that order: `Basic`, `MD5`, `SHA-256`.

    Attributes:
        passed: number of requests with the password, by scheme.
        refused: number of requests with a wrong password.
    """

    host: Host
    behind: int
    schemes: tuple[str, ...]
    credentials: Credentials
    passed: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    nonce: str = field(default_factory=partial(secrets.token_hex, 16))

    def challenges(self) -> list[str]:
        return [
            f'Basic realm="{_REALM}"'
            if scheme == "Basic"
            else f'Digest realm="{_REALM}", nonce="{self.nonce}", algorithm={scheme}'
            for scheme in self.schemes
        ]

    def proves(self, method: str, given: str) -> bool:
        scheme, _, rest = given.partition(" ")
        used = "Basic" if scheme.lower() == "basic" else _parameters(rest).get("algorithm", "MD5")
        if used not in self.schemes:
            return False
        right = (
            self._proves_basic(rest)
            if used == "Basic"
            else self._proves_digest(used, method, _parameters(rest))
        )
        if right:
            self.passed[used] = self.passed.get(used, 0) + 1
        else:
            self.refused += 1
        return right

    def _proves_basic(self, given: str) -> bool:
        return b64decode(given) == f"{self.credentials.user}:{self.credentials.password}".encode()

    def _proves_digest(self, algorithm: str, method: str, given: Mapping[str, str]) -> bool:
        def digest(*parts: str) -> str:
            return _HASHES[algorithm](":".join(parts).encode()).hexdigest()

        user, password = self.credentials.user, self.credentials.password
        one = digest(user, _REALM, password)
        two = digest(method, given["uri"])
        middle = [given[each] for each in ("nc", "cnonce", "qop")] if "qop" in given else []
        expected = digest(one, self.nonce, *middle, two)
        return (given["username"], given["nonce"], given["response"]) == (user, self.nonce, expected)

    async def serve(self, client: SocketStream) -> None:
        """Hold one client's connection, and one to the server behind the gate."""
        with self.host.entered():
            plain = socket.socket()
        plain.connect(("127.0.0.1", self.behind))  # loopback: it does not wait
        plain.setblocking(False)
        async with (
            client,
            await SocketStream.from_socket(plain) as server,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_copy, server, client, tasks.cancel_scope)
            with suppress(*_GONE):
                await self._check(client, server)
            tasks.cancel_scope.cancel()

    async def _check(self, client: SocketStream, server: SocketStream) -> None:
        rest = b""
        while True:
            while (size := _message_size(rest)) is None or len(rest) < size:
                rest += await client.receive()
            message, rest = rest[:size], rest[size:]
            if message.startswith(b"$"):
                await server.send(message)
                continue
            head, _, body = message.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            given = next((each.partition(":")[2].strip() for each in lines if _is(each, "authorization")), "")
            if given and self.proves(first.partition(" ")[0], given):
                kept = [first, *(each for each in lines if not _is(each, "authorization"))]
                await server.send("\r\n".join(kept).encode() + b"\r\n\r\n" + body)
            else:
                await client.send(self._refusal(first, lines))

    def _refusal(self, first: str, lines: list[str]) -> bytes:
        numbers = [each for each in lines if _is(each, "cseq")]
        asked = [f"WWW-Authenticate: {each}" for each in self.challenges()]
        status = f"{first.rpartition(' ')[2]} 401 Unauthorized"
        return "\r\n".join([status, *numbers, *asked, "Content-Length: 0", "", ""]).encode()


@asynccontextmanager
async def running_gate(
    host: Host,
    *schemes: str,
    behind: int = 8554,
    port: int = 554,
    credentials: Credentials = USER,
) -> AsyncIterator[Gate]:
    """Ask for a password at `port` of the host, before the server at its port `behind`, while the context is open."""
    gate = Gate(host, behind, schemes, credentials)
    listener = await SocketListener.from_socket(host.listen(port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, gate.serve)
        yield gate
        tasks.cancel_scope.cancel()


async def _copy(source: SocketStream, target: SocketStream, scope: anyio.CancelScope) -> None:
    with suppress(*_GONE):
        async for data in source:
            await target.send(data)
    scope.cancel()


def _message_size(data: bytes) -> int | None:
    """Return the size of the first message, a request or interleaved data; None if that is not known yet."""
    if data.startswith(b"$"):
        return 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else None
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = re.search(rb"(?im)^content-length:\s*(\d+)", data[:end])
    return end + 4 + (int(length[1]) if length else 0)


def _parameters(text: str) -> dict[str, str]:
    return {
        name: re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in _PARAMETER.findall(text)
    }


def _is(line: str, name: str) -> bool:
    return line.partition(":")[0].strip().lower() == name
