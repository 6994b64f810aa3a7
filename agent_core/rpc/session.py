"""Session of one connection: runs its calls and delivers its events, independent of other connections."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from agent_core.auth.limits import RateLimiter
from agent_core.auth.live import LiveAccess
from agent_core.auth.roles import Principal
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, RateLimited
from agent_core.base.events import Event
from agent_core.base.logging import fields
from agent_core.rpc import protocol
from agent_core.rpc.allowance import Allowance
from agent_core.rpc.call_meter import UNKNOWN, CallMeter
from agent_core.rpc.courier import Courier
from agent_core.rpc.errors import wire_error
from agent_core.rpc.feed import EventSource, Feed
from agent_core.rpc.message_stream import MessageStream
from agent_core.rpc.notices import AuthExpired, EventsDropped
from agent_core.rpc.protocol import Call, Message, Refusal
from agent_core.rpc.session_state import Judge, SessionState
from agent_core.rpc.table import Caller, MethodTable

__all__ = ("Session", "SharedParts")

#: Longest wait for the end of credentials before the wall clock, which may be set, is read again.
_LONGEST_SLEEP_S = 3600.0
#: Workers of a connection that wait to read; with only one, each call would start a new task.
_SPARE_WORKERS = 2
#: Calls answered, or events sent, in a row before other connections get a turn; one read of the socket can bring many.
_TURN = 8
#: Delay proposed to a client with too many running calls; one of them may have ended by then.
_BUSY_RETRY_MS = 100


@dataclass(eq=False, slots=True)
class SharedParts:
    """Services and limits that the sessions of one server share. The limits may be changed at any time.

    `max_message_bytes` is for sessions that plugins serve: the port has its own limits.
    """

    table: MethodTable
    authenticator: Judge
    limiter: RateLimiter
    events: EventSource
    clock: Clock
    live: LiveAccess
    max_calls: int = 32
    max_message_bytes: int = 1 << 20
    calls: CallMeter = field(default_factory=CallMeter)
    courier: Courier = field(default_factory=Courier)


class Session:
    """Session of one peer. Messages are sent one at a time; a peer that does not read blocks only itself.

    Args:
        shared: what it shares with the others.
        stream: the peer's messages.
        address: the peer's address, without its port.
        user: the user of all calls, with whose credentials the session ends; None if the peer authenticates.
    """

    def __init__(
        self, shared: SharedParts, stream: MessageStream, address: str, user: Principal | None = None
    ) -> None:
        self._shared = shared
        self._stream = stream
        self._feed = Feed(shared.events, partial(shared.courier.call, self))
        self._state = SessionState(
            shared.authenticator,
            self._feed,
            shared.clock,
            address,
            when_authenticated=self._note_authenticated,
            user=user,
        )
        #: Number of the last event that was sent, or told as lost.
        self._sent = shared.events.newest.sequence
        self._calls_seen = 0
        self._running = 0
        self._readers = 0
        self._reading = anyio.Lock(fast_acquire=True)
        self._sending = anyio.Lock(fast_acquire=True)
        self._tasks: TaskGroup | None = None
        self._expiry = anyio.CancelScope()
        self._allowance = Allowance(shared.limiter, shared.clock, address)

    @property
    def is_lent(self) -> bool:
        """True if a plugin serves its peer."""
        return self._state.is_fixed

    @property
    def topics(self) -> tuple[str, ...]:
        return self._state.topics

    async def run(self) -> None:
        """Serve until the peer leaves or this task is cancelled; running calls are cancelled then."""
        try:
            with (
                self._shared.live.hold(lambda: self._state.is_current, self._revoke),
                self._feed.open(),
            ):
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    if self._state.principal is not None:
                        self._note_authenticated(self._state.principal)
                    tasks.start_soon(self._deliver)
                    tasks.start_soon(self._work, tasks)
        finally:
            self._state.close()

    async def _work(self, tasks: TaskGroup) -> None:
        """Read messages and answer them; another worker, started if there is none, reads meanwhile.

        A call needs a new task only while a slow call is running; the worker that read a prompt call answers it
        without a task switch. The session ends when the peer leaves.
        """
        while self._readers < _SPARE_WORKERS:
            self._readers += 1
            try:
                async with self._reading:
                    message, at_once = await self._next()
            except anyio.EndOfStream:
                tasks.cancel_scope.cancel()
                return
            finally:
                self._readers -= 1
            self._running += at_once
            if not self._readers:
                tasks.start_soon(self._work, tasks)
            await self._answer(message, at_once)

    async def _next(self) -> tuple[Message, int]:
        """Return the next message that may take time, and how many of its calls can run at once now.

        Messages before it, either prompt or to be refused, are answered on the way.
        """
        answered = 0
        while True:
            if answered >= _TURN:
                await anyio.lowlevel.checkpoint()
                answered = 0
            message = await self._read()
            answered += len(message.entries)
            at_once = self._runnable(message)
            if not at_once:
                # Many frames can arrive at once: let quick calls among them finish first.
                await anyio.lowlevel.checkpoint()
                at_once = self._runnable(message)
            if not at_once:
                await self._send_replies(message, [self._refuse(entry) for entry in message.entries])
            elif not message.is_batch and self._is_prompt(message.entries[0]):
                await self._send_replies(message, [await self._reply(message.entries[0])])
            else:
                return message, at_once

    async def _read(self) -> Message:
        await self._allowance.rest()
        text = await self._stream.receive()
        user_id = self._state.user_id
        await self._allowance.admit(user_id, len(text))
        return protocol.parse(text, protocol.MAX_ANONYMOUS_VALUES if user_id is None else protocol.MAX_VALUES)

    def _is_prompt(self, entry: Call | Refusal) -> bool:
        return isinstance(entry, Call) and self._shared.table.is_prompt(entry.method)

    def _runnable(self, message: Message) -> int:
        """Return how many of the message's calls can run at once now."""
        calls = [entry for entry in message.entries if isinstance(entry, Call)]
        return min(len(calls), self._shared.max_calls - self._running)

    async def _answer(self, message: Message, workers: int) -> None:
        """Answer every entry; `workers` of a batch's calls run at once and count as running calls.

        They count until the reply is sent, so that replies for a peer that does not read cannot pile up.
        """
        replies: list[str | None] = [None] * len(message.entries)
        waiting = iter(enumerate(message.entries))

        async def work() -> None:
            for index, entry in waiting:
                replies[index] = await self._reply(entry)

        try:
            if workers == 1:
                await work()
            else:
                async with anyio.create_task_group() as tasks:
                    for _ in range(workers):
                        tasks.start_soon(work)
            await self._send_replies(message, replies)
        finally:
            self._running -= workers

    async def _reply(self, entry: Call | Refusal) -> str | None:
        if isinstance(entry, Refusal):
            self._allowance.note(self._state.user_id)
            return entry.reply
        self._calls_seen += 1
        request_id = f"{self._state.id}-{self._calls_seen}"
        began_s, failed = self._shared.clock.monotonic_s(), False
        with fields(request_id=request_id):
            try:
                if not self._shared.table.is_public(entry.method):
                    await self._state.settled()
                self._allowance.charge(self._state.user_id, entry.method)
                caller = Caller(self._state, self._live_principal(entry.method), request_id)
                result = await self._shared.table.call(entry.method, entry.params, caller)
                reply = protocol.result_reply(entry.id, result)
            except Exception as error:  # noqa: BLE001 - any error of a call becomes its reply
                reply = protocol.error_reply(entry.id, wire_error(error, request_id))
                failed = True
        method = entry.method if entry.method in self._shared.table else UNKNOWN
        self._shared.calls.ended(method, self._shared.clock.monotonic_s() - began_s, failed=failed)
        return reply if entry.wants_reply else None

    def _refuse(self, entry: Call | Refusal) -> str | None:
        self._allowance.note(self._state.user_id)
        if isinstance(entry, Refusal):
            return entry.reply
        busy = RateLimited(
            f"This connection already has {self._shared.max_calls} running calls, the limit.",
            retry_after_ms=_BUSY_RETRY_MS,
            reason="too_many_calls",
        )
        return protocol.error_reply(entry.id, wire_error(busy, "")) if entry.wants_reply else None

    def _live_principal(self, method: str) -> Principal | None:
        """Return the caller. Raises AuthenticationFailed if its credentials have expired and `method` needs them."""
        if not self._state.has_expired:
            return self._state.principal
        if self._shared.table.is_public(method):
            return None
        raise AuthenticationFailed("The credentials of this connection have expired.", reason="token_expired")

    def _note_authenticated(self, principal: Principal) -> None:
        self._allowance.restore()
        self._stream.admit()
        self._expiry.cancel()
        if self._tasks is not None and principal.expires_at is not None:
            self._expiry = anyio.CancelScope()
            self._tasks.start_soon(self._watch_expiry, self._expiry)

    async def _watch_expiry(self, scope: anyio.CancelScope) -> None:
        with scope:
            while not self._state.has_expired:
                await self._shared.clock.sleep(min(_LONGEST_SLEEP_S, self._left_s()))
            await self._expire()

    def _left_s(self) -> float:
        expires_at = self._state.expires_at
        if expires_at is None:
            return _LONGEST_SLEEP_S
        return max(0.0, (expires_at - self._shared.clock.now()).total_seconds())

    async def _expire(self) -> None:
        """Suspend the events and send `system.auth_expired`, or end; does nothing the second time."""
        if self._state.subscriptions.suspended:
            return
        self._state.subscriptions.suspended = True
        self._feed.end_replay()
        self._stream.dismiss()
        if self._state.is_fixed:
            self.end()
        elif self._state.topics:
            notice = AuthExpired(sequence=self._sent).model_dump_json()
            await self._send(protocol.notification("system.auth_expired", notice))

    def _revoke(self) -> None:
        """End the session and its running calls: its credentials were revoked."""
        self._stream.revoke()
        self.end()

    def deliver_now(self) -> None:
        """Send the events that wait, unless its own task is needed for that; see `Recipient`."""
        feed = self._feed
        while feed.has_arrived:
            if not (feed.is_plain and self._takes_events_now):
                feed.wake()
                return
            event = feed.take()
            for text in self._texts(event):
                self._stream.send_now(text)
            self._sent = event.sequence

    def deliver_later(self) -> None:
        """Leave the events that wait to its own task."""
        self._feed.wake()

    def end(self) -> None:
        """End the session and its running calls; its peer can connect again."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    @property
    def _takes_events_now(self) -> bool:
        return self._stream.takes_more and not self._sending.locked() and not self._state.has_expired

    async def _deliver(self) -> None:
        sent = 0
        while True:
            event = await self._feed.receive()
            if self._state.has_expired:
                await self._expire()
            for text in self._texts(event):
                if not self._state.subscriptions.suspended:
                    await self._send(text)
                    self._sent = event.sequence
                    sent += 1
            if sent >= _TURN:
                await anyio.lowlevel.checkpoint()
                sent = 0

    def _texts(self, event: Event | EventsDropped) -> Sequence[str]:
        if isinstance(event, EventsDropped):
            return (protocol.notification("system.events_dropped", event.model_dump_json()),)
        return self._state.subscriptions.notifications(event, self._state.principal)

    async def _send_replies(self, message: Message, replies: Sequence[str | None]) -> None:
        texts = [reply for reply in replies if reply is not None]
        if message.is_batch:
            texts = [text for text in [protocol.batch_reply(texts)] if text is not None]
        for text in texts:
            await self._send(text)

    async def _send(self, text: str) -> None:
        """Send one message; if the peer has left, end the session."""
        try:
            self._sending.acquire_nowait()  # Half the cost of `acquire`, which looks for a cancellation first.
        except anyio.WouldBlock:
            await self._sending.acquire()
        try:
            await self._stream.send(text)
        except anyio.BrokenResourceError:
            self.end()
        finally:
            self._sending.release()
