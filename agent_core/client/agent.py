"""The client: one connection, concurrent calls, events, downloads."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any, Self

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent_core.client.connection import explain_closed, open_socket
from agent_core.client.downloads import Download, Downloads, FileKind
from agent_core.client.errors import AgentUnreachable, ClientError, ConnectionLost
from agent_core.client.events import Event, EventStream, Subscriptions
from agent_core.client.protocol import PendingCalls, decode, encode

__all__ = ("AgentClient",)

#: What the agent gets to confirm that it delivers no more events to a stream that is closed.
_UNSUBSCRIBE_TIMEOUT_S = 1.0


class AgentClient(anyio.AsyncContextManagerMixin):
    """A connection to one agent; use it as `async with AgentClient(url, token) as agent`, once.

    Any number of tasks may call at the same time. An exception of the block leaves it as it is, not in a group.

    Args:
        url: `ws://HOST:8002/ws`, or `wss://` where the agent has a certificate, or `unix:///PATH` for the agent's
            socket on this host.
        token: a token or an API key; without one only public methods can be called.
        ssl: what to trust for `wss://`; absent, what the system trusts.
        observe: is called with the text of every message received. It must not raise or block.
        connect_timeout_s: for connecting and authenticating together.

    Raises:
        AgentUnreachable: on entering, nobody is there.
        CallFailed: on entering, the token was refused.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        ssl: SSLContext | None = None,
        observe: Callable[[str], None] | None = None,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self._url = url
        self._token = token
        self._ssl = ssl
        self._observe = observe
        self._connect_timeout_s = connect_timeout_s
        self._socket: ClientConnection | None = None
        self._ended: ClientError | None = None
        self._calls = PendingCalls()
        self._subscriptions = Subscriptions()
        self._downloads = Downloads(url, token, ssl)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        failure: Exception | None = None
        async with (
            aclosing(self._downloads),
            open_socket(self._url, self._ssl, self._connect_timeout_s) as socket,
            anyio.create_task_group() as tasks,
        ):
            self._socket = socket
            tasks.start_soon(self._receive, socket)
            try:
                await self._authenticate()
                yield self
            except Exception as error:  # noqa: BLE001 - raised again below, outside the group that would wrap it
                failure = error
            finally:
                self._end(ConnectionLost("This client has been closed.", reason="closed"))
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _authenticate(self) -> None:
        if self._token is None:
            return
        with anyio.move_on_after(self._connect_timeout_s):
            await self.call("authenticate", auth_token=self._token)
            return
        raise AgentUnreachable("The agent accepts connections and does not answer.", reason="timeout")

    async def call(self, method: str, /, **params: object) -> Any:
        """Call `method` and return its result, plain JSON values. Cancelling forgets the reply, not the call.

        Raises:
            CallFailed: the agent answered with an error.
            ConnectionLost: the connection ended before the reply came.
        """
        with self._calls.expect() as (call_id, reply):
            await self._send(encode(call_id, method, params))
            return await reply.wait()

    @asynccontextmanager
    async def subscribe(
        self, topics: Sequence[str], device: str | None = None, *, capacity: int = 256
    ) -> AsyncGenerator[EventStream]:
        """Events of `topics`, only those about `device` if one is given, for as long as the context is open.

        Raises:
            CallFailed: a topic does not exist, or the caller may not listen.
            ConnectionLost: the connection ended.
        """
        stream = EventStream(topics, device, capacity)
        try:
            with self._subscriptions.add(stream):
                async with self._subscriptions.changing:
                    for wanted, names in self._subscriptions.filters(topics).items():
                        filters = {"filters": {"device": wanted}} if wanted else {}
                        await self.call("subscribe_events", topics=names, **filters)
                yield stream
        finally:
            await self._unsubscribe(topics)

    async def _unsubscribe(self, topics: Sequence[str]) -> None:
        with anyio.move_on_after(_UNSUBSCRIBE_TIMEOUT_S, shield=True):
            async with self._subscriptions.changing:
                names = self._subscriptions.unused(topics)
                if names and self._ended is None:
                    with suppress(ClientError):
                        await self.call("unsubscribe_events", topics=names)

    async def download(
        self, url_or_name: str, *, kind: FileKind = "snapshots", size_bytes: int | None = None
    ) -> bytes:
        """The content of a file: a `download_url` of a result, or a name of that `kind`.

        Raises:
            DownloadFailed: refused, or broken off, or not `size_bytes` long.
            AgentUnreachable: nobody answers.
        """
        return await self._downloads.read(url_or_name, kind, size_bytes)

    async def download_to(
        self, path: Path, url_or_name: str, *, kind: FileKind = "snapshots", size_bytes: int | None = None
    ) -> int:
        """As `download`, into the file `path`, which appears, or is replaced, once all of it is there.

        Returns the size in bytes. Also raises OSError: the file cannot be written. Nothing is left behind then.
        """
        return (await self._downloads.save(path, url_or_name, kind, size_bytes)).size_bytes

    async def download_segment(self, path: Path, url_or_name: str) -> Download:
        """As `download_to`, for one segment of a recording: its id stands for the first, `next_url` for the next."""
        return await self._downloads.save(path, url_or_name, "recordings", None)

    async def _send(self, text: str) -> None:
        if self._ended is not None:
            raise self._ended
        if self._socket is None:
            raise RuntimeError("enter the client's context first")
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise explain_closed(error) from error

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            while True:
                text = await socket.recv()
                if self._observe is not None and isinstance(text, str):
                    self._observe(text)
                self._dispatch(decode(text))
        except ConnectionClosed as error:
            self._end(explain_closed(error))
        except AgentUnreachable as error:
            self._end(error)

    def _dispatch(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params")
        if isinstance(method, str):
            self._subscriptions.offer(Event(method, params if isinstance(params, dict) else {}))
        else:
            self._calls.settle(message)

    def _end(self, error: ClientError) -> None:
        """From now on every call and every stream ends with `error`; the first one counts."""
        if self._ended is None:
            self._ended = error
            self._calls.fail_all(error)
            self._subscriptions.end(error)
