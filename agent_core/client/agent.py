"""Client of an agent: one connection, concurrent calls, events, downloads."""

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

#: Time for the agent to confirm that it delivers no more events to a closed stream.
_UNSUBSCRIBE_TIMEOUT_S = 1.0


class AgentClient(anyio.AsyncContextManagerMixin):
    """Connection to one agent; enter it once: `async with AgentClient(url, token) as agent`.

    Any number of tasks may call at the same time. An exception in the block is raised as it is, not in a group.

    Args:
        url: `ws://HOST:8002/ws`, `wss://` for an agent with a certificate, or `unix:///PATH` for the agent's socket on
            this host.
        token: a token or an API key; without one, only public methods can be called.
        ssl: trusted certificates for `wss://`; None trusts those of the system.
        observe: called with the text of every received message; must not raise or block.
        connect_timeout_s: limit for connecting and for authenticating.

    Raises:
        AgentUnreachable: on entering, no agent answers.
        CallFailed: on entering, the agent refuses the token.
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
            except Exception as error:  # noqa: BLE001 - raised again below, outside the task group, which would wrap it
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
        raise AgentUnreachable("The agent accepts connections but does not answer.", reason="timeout")

    async def call(self, method: str, /, **params: object) -> Any:
        """Call `method` and return its result as plain JSON values. Cancelling drops only the reply, not the call.

        Raises:
            CallFailed: the agent answered with an error.
            ConnectionLost: the connection ended before the reply arrived.
        """
        with self._calls.expect() as (call_id, reply):
            await self._send(encode(call_id, method, params))
            return await reply.wait()

    @asynccontextmanager
    async def subscribe(
        self, topics: Sequence[str], device: str | None = None, *, capacity: int = 256
    ) -> AsyncGenerator[EventStream]:
        """Receive events of `topics`, only those about `device` if given, while the context is open.

        Raises:
            CallFailed: a topic does not exist, or the caller may not subscribe to it.
            ConnectionLost: the connection ended.
        """
        stream = EventStream(topics, device, capacity)
        # The agent keeps a subscription for each name of a topic: streams with different names share the canonical one.
        names = sorted(stream.topics)
        try:
            with self._subscriptions.add(stream):
                async with self._subscriptions.changing:
                    for wanted, asked in self._subscriptions.filters(names).items():
                        filters = {"filters": {"device": wanted}} if wanted else {}
                        await self.call("subscribe_events", topics=asked, **filters)
                yield stream
        finally:
            await self._unsubscribe(names)

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
        """Return the content of a file, given the `download_url` of a result or a name of that `kind`.

        Raises:
            DownloadFailed: the download is refused, breaks off, or does not have `size_bytes`.
            AgentUnreachable: no agent answers.
        """
        return await self._downloads.read(url_or_name, kind, size_bytes)

    async def download_to(
        self, path: Path, url_or_name: str, *, kind: FileKind = "snapshots", size_bytes: int | None = None
    ) -> int:
        """Download into the file `path`, which appears or is replaced once complete; return its size in bytes.

        Raises, besides the errors of `download`:
            OSError: the file cannot be written; nothing is left behind.
        """
        return (await self._downloads.save(path, url_or_name, kind, size_bytes)).size_bytes

    async def download_segment(self, path: Path, url_or_name: str) -> Download:
        """Download one segment of a recording: the first by the recording's id, the next by `next_url` of the result.

        Raises as `download_to`.
        """
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
        """End all calls and streams, also later ones, with `error`; the first error counts."""
        if self._ended is None:
            self._ended = error
            self._calls.fail_all(error)
            self._subscriptions.end(error)
