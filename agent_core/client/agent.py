"""Client of an agent: concurrent calls, events, downloads, over one connection at a time."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Self

import anyio

from agent_core.client.connection import Dial
from agent_core.client.downloads import Download, Downloads, FileKind
from agent_core.client.errors import ClientError, ConnectionLost
from agent_core.client.events import EventStream, Subscriptions
from agent_core.client.link import Link
from agent_core.client.login import Login, TokenSource
from agent_core.client.methods import READS, AgentMethods
from agent_core.client.protocol import JsonObject
from agent_core.client.reconnect import Reconnect
from agent_core.client.typed import ResultT, typed

if TYPE_CHECKING:
    from agent_core.client.results import Authenticated

__all__ = ("AgentClient",)

#: Time for the agent to confirm that it delivers no more events to a closed stream.
_UNSUBSCRIBE_TIMEOUT_S = 1.0


class AgentClient(AgentMethods, anyio.AsyncContextManagerMixin):
    """Client of one agent; enter it once: `async with AgentClient(url, token) as agent`.

    Any number of tasks may call at the same time. An exception in the block is raised as it is, not in a group. Each
    method of the contract is a method of the client and returns an object of `agent_core.client.results`; `call` calls
    any method by its name.

    Args:
        url: `ws://HOST:8002/ws`, `wss://` for an agent with a certificate, or `unix:///PATH` for the agent's socket on
            this host.
        token: a token or an API key; without one, only public methods can be called. A function `async () -> token` is
            called for each login and when the token has expired.
        ssl: trusted certificates for `wss://`; None trusts those of the system.
        observe: called with the text of every received message; must not raise or block.
        connect_timeout_s: limit for connecting, and for authenticating with the subscriptions.
        ping_interval_s: time between two pings; an agent that does not answer one for as long again counts as lost.
        reconnect: connect again after a break, by this policy; None ends the client at the first break.

    Raises:
        AgentUnreachable: on entering, no agent answers.
        CallFailed: on entering, the agent refuses the token.
        TokenUnavailable: on entering, the function for tokens failed.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        *,
        ssl: SSLContext | None = None,
        observe: Callable[[str], None] | None = None,
        connect_timeout_s: float = 10.0,
        ping_interval_s: float = 20.0,
        reconnect: Reconnect | None = None,
    ) -> None:
        login = Login(token)
        dial = Dial(url, ssl, connect_timeout_s, ping_interval_s)
        self._subscriptions = Subscriptions()
        self._link = Link(dial, login, self._subscriptions, reconnect=reconnect, observe=observe)
        self._was_entered = False
        self._downloads = Downloads(url, login, ssl)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        failure: Exception | None = None
        self._was_entered = True
        async with aclosing(self._downloads), anyio.create_task_group() as tasks:
            try:
                await tasks.start(self._link.run)
                yield self
            except Exception as error:  # noqa: BLE001 - raised again below, outside the task group, which would wrap it
                failure = error
            finally:
                self._link.end(ConnectionLost("This client has been closed.", reason="closed"))
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def is_connected(self) -> bool:
        """True while calls can be sent; false during a break."""
        return self._link.is_open

    async def wait_connected(self) -> None:
        """Wait until calls can be sent.

        Raises:
            ConnectionLost: the client has given up or is closed.
            CallFailed: the agent refuses the credentials.
        """
        await self._link.wait_open()

    async def call(self, method: str, /, **params: object) -> Any:
        """Call `method` and return its result as plain JSON values. Cancelling drops only the reply, not the call.

        Raises:
            CallFailed: the agent answered with an error.
            CallInterrupted: the connection ended before the reply arrived; the call may have taken effect.
            NotConnected: the client is connecting again; the call was not sent.
            ConnectionLost: the client has given up or is closed.
        """
        if not self._was_entered:
            raise RuntimeError("enter the client's context first")
        return await self._link.call(method, params, reads=method in READS)

    async def authenticate(self, token: str) -> "Authenticated":
        """Log in with another token, which the client uses from now on, also after a break.

        Raises as `call`.
        """
        from agent_core.client.results import Authenticated

        return typed(Authenticated, await self._link.authenticate(token))

    async def _invoke(self, form: type[ResultT], method: str, params: JsonObject) -> ResultT:
        return typed(form, await self.call(method, **params))

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
                    begins_after = []
                    for wanted, asked in self._subscriptions.filters(names).items():
                        filters = {"filters": {"device": wanted}} if wanted else {}
                        answer = await self.call("subscribe_events", topics=asked, **filters)
                        begins_after.append(self._link.note_subscription(answer))
                    stream.begins_after = min(begins_after, default=0)
                yield stream
        finally:
            await self._unsubscribe(names)

    async def _unsubscribe(self, topics: Sequence[str]) -> None:
        with anyio.move_on_after(_UNSUBSCRIBE_TIMEOUT_S, shield=True):
            async with self._subscriptions.changing:
                names = self._subscriptions.unused(topics)
                if names and self._link.is_open:
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
