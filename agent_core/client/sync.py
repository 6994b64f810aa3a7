"""Client for programs without an event loop: its calls block the calling thread."""

import atexit
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.lowlevel import checkpoint

from agent_core.client.agent import AgentClient
from agent_core.client.downloads import Download, FileKind
from agent_core.client.errors import ConnectionLost
from agent_core.client.events import Event, EventStream
from agent_core.client.login import TokenSource
from agent_core.client.methods import SyncAgentMethods
from agent_core.client.protocol import JsonObject
from agent_core.client.reconnect import Reconnect
from agent_core.client.typed import ResultT, typed

if TYPE_CHECKING:
    from agent_core.client.results import Authenticated

__all__ = ("SyncAgentClient", "SyncEventStream")

T = TypeVar("T")


class _Waiting:
    """Thread with the client's event loop, in which other threads run what they wait for."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._process_id = os.getpid()

    def run(self, work: Callable[[], Awaitable[T]], timeout_s: float | None = None) -> T:
        """Run `work` in the event loop and return its result; an exception here, such as Ctrl-C, cancels it.

        Raises:
            TimeoutError: it takes longer than `timeout_s`.
            ConnectionLost: the client is closed, or belongs to the process from which this one was forked.
        """
        self._check_process()

        async def limited() -> T:
            with anyio.fail_after(timeout_s):
                return await work()

        try:
            future: Future[T] = self._portal.start_task_soon(limited)
        except RuntimeError as error:
            raise _closed() from error
        try:
            return future.result()
        except CancelledError as error:
            raise _closed() from error
        finally:
            future.cancel()

    @contextmanager
    def entered(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Keep `context` open in the event loop; an exception of the block ends it like the end of the block."""
        self._check_process()
        inside = self._portal.wrap_async_context_manager(context)
        value = inside.__enter__()
        try:
            yield value
        finally:
            if self._is_running:
                inside.__exit__(None, None, None)

    @property
    def is_of_this_process(self) -> bool:
        """False in a child process that was forked since."""
        return os.getpid() == self._process_id

    @property
    def _is_running(self) -> bool:
        """False once the client is closed, or the interpreter ends without that: the context has ended with the thread."""
        try:
            self._portal.start_task_soon(checkpoint)
        except RuntimeError:
            return False
        return True

    def _check_process(self) -> None:
        """Raise ConnectionLost after a fork: the child has no thread with the event loop, and would wait for ever."""
        if not self.is_of_this_process:
            raise ConnectionLost(
                "This client belongs to the parent process.",
                reason="closed",
                suggestion="Make another client after the fork.",
            )

    def stop(self) -> None:
        """End all that still runs."""
        self._portal.call(self._portal.stop, True)  # noqa: FBT003 - the signature of anyio


def _closed() -> ConnectionLost:
    return ConnectionLost("This client has been closed.", reason="closed")


class SyncEventStream:
    """Iterator of events, as `EventStream`. Of several threads that iterate, each event goes to one."""

    def __init__(self, stream: EventStream, waiting: _Waiting) -> None:
        self._stream = stream
        self._waiting = waiting

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return self.next()

    def next(self, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Raises:
            TimeoutError: none came within `timeout_s`; None waits for as long as it takes.
            ConnectionLost: the connection has ended for good, and all held events were delivered.
            CallFailed: after a break, the agent refuses the credentials or a topic.
        """
        return self._waiting.run(self._stream.__anext__, timeout_s)


class SyncAgentClient(SyncAgentMethods):
    """Client of one agent for programs without an event loop: `with SyncAgentClient(url, token) as agent`.

    Does as `AgentClient`, with the same arguments, results and errors. Any number of threads may use it at the same time,
    and it may be entered once. Don't use it inside an event loop, which it would block.

    Args:
        url: as of `AgentClient`.
        token: as of `AgentClient`; a function `() -> token` is called in a thread of its own.
        ssl: as of `AgentClient`.
        observe: as of `AgentClient`; called in the client's thread.
        connect_timeout_s: as of `AgentClient`.
        ping_interval_s: as of `AgentClient`.
        reconnect: as of `AgentClient`.
        call_timeout_s: limit for a call, after which it raises TimeoutError; the agent may still carry it out. None
            waits for as long as it takes.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str] | None = None,
        *,
        ssl: SSLContext | None = None,
        observe: Callable[[str], None] | None = None,
        connect_timeout_s: float = 10.0,
        ping_interval_s: float = 20.0,
        reconnect: Reconnect | None = None,
        call_timeout_s: float | None = None,
    ) -> None:
        self._agent = AgentClient(
            url,
            _in_thread(token) if callable(token) else token,
            ssl=ssl,
            observe=observe,
            connect_timeout_s=connect_timeout_s,
            ping_interval_s=ping_interval_s,
            reconnect=reconnect,
        )
        self._call_timeout_s = call_timeout_s
        self._stack = ExitStack()
        self._waiting: _Waiting | None = None

    def __enter__(self) -> Self:
        """Connect. Raises as entering an `AgentClient`."""
        with ExitStack() as stack:
            waiting = _Waiting(stack.enter_context(start_blocking_portal()))
            stack.callback(waiting.stop)
            stack.enter_context(waiting.entered(self._agent))
            self._waiting = waiting
            self._stack = stack.pop_all()
        atexit.register(self._close_at_exit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        atexit.unregister(self._close_at_exit)
        self._stack.close()

    def _close_at_exit(self) -> None:
        """Close a client that the program has left open: later, the interpreter would wait for its thread for ever."""
        if self._entered().is_of_this_process:
            self._stack.close()

    @property
    def is_connected(self) -> bool:
        """True while calls can be sent; false during a break."""
        return self._agent.is_connected

    def wait_connected(self, timeout_s: float | None = None) -> None:
        """Wait until calls can be sent. Raises TimeoutError, and as `AgentClient.wait_connected`."""
        self._run(self._agent.wait_connected, timeout_s)

    def call(self, method: str, /, **params: object) -> Any:
        """Call `method` and return its result as plain JSON values. Raises TimeoutError, and as `AgentClient.call`."""
        return self._run(lambda: self._agent.call(method, **params), self._call_timeout_s)

    def authenticate(self, token: str) -> "Authenticated":
        """Log in with another token, which the client uses from now on. Raises as `call`."""
        return self._run(lambda: self._agent.authenticate(token), self._call_timeout_s)

    @contextmanager
    def subscribe(
        self, topics: Sequence[str], device: str | None = None, *, capacity: int = 256
    ) -> Iterator[SyncEventStream]:
        """Receive events while the context is open. Raises as `AgentClient.subscribe`."""
        waiting = self._entered()
        with waiting.entered(self._agent.subscribe(topics, device, capacity=capacity)) as stream:
            yield SyncEventStream(stream, waiting)

    def download(
        self, url_or_name: str, *, kind: FileKind = "snapshots", size_bytes: int | None = None
    ) -> bytes:
        """Return the content of a file. Raises as `AgentClient.download`."""
        return self._run(lambda: self._agent.download(url_or_name, kind=kind, size_bytes=size_bytes), None)

    def download_to(
        self, path: Path, url_or_name: str, *, kind: FileKind = "snapshots", size_bytes: int | None = None
    ) -> int:
        """Download into the file `path`; return its size in bytes. Raises as `AgentClient.download_to`."""
        return self._run(
            lambda: self._agent.download_to(path, url_or_name, kind=kind, size_bytes=size_bytes), None
        )

    def download_segment(self, path: Path, url_or_name: str) -> Download:
        """Download one segment of a recording. Raises as `AgentClient.download_segment`."""
        return self._run(lambda: self._agent.download_segment(path, url_or_name), None)

    def _invoke(self, form: type[ResultT], method: str, params: JsonObject) -> ResultT:
        return typed(form, self.call(method, **params))

    def _run(self, work: Callable[[], Awaitable[T]], timeout_s: float | None) -> T:
        return self._entered().run(work, timeout_s)

    def _entered(self) -> _Waiting:
        if self._waiting is None:
            raise RuntimeError("enter the client's context first")
        return self._waiting


def _in_thread(source: Callable[[], str]) -> TokenSource:
    async def fetch() -> str:
        return await to_thread.run_sync(source, abandon_on_cancel=True)

    return fetch
