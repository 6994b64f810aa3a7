"""Desk for signed calls: the part of the bridge that takes them, runs them and sends the replies."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from agent_core.plugin import (
    NOT_ASKED,
    AgentError,
    CallRefused,
    CallSigner,
    ClientSessions,
    Clock,
    PrincipalSource,
    RateLimited,
    SignedCall,
    Started,
    Unsupported,
)
from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription
from mqtt_bridge.broker.part import BrokerLost, BrokerPublisher
from mqtt_bridge.calls.budget import Budget
from mqtt_bridge.calls.message import NoCall, cost_of, signed_call
from mqtt_bridge.calls.refusals import Refusals
from mqtt_bridge.calls.session import CallSession
from mqtt_bridge.settings import CommandSettings
from mqtt_bridge.topics import AgentTopics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anyio.abc import TaskGroup

__all__ = ("MOST_SESSIONS", "MOST_SESSIONS_OF_USER", "CallDesk")

#: Sessions at a time: of one user's clients, and of all.
MOST_SESSIONS_OF_USER, MOST_SESSIONS = 32, 256
#: Messages whose signatures are being checked; more are dropped, as strangers may have sent them.
_MOST_CHECKS = 256
#: Units of `cost_of` for checks, at once and per second: a tenth of a processor, whatever strangers send.
_CHECK_BURST, _CHECKS_PER_S = 2000, 500
#: Time proposed to a client when too much is going on.
_BUSY_RETRY_MS = 500
#: Seconds for which the broker keeps a reply for a client that is away.
_REPLY_EXPIRY_S = 60
#: Bytes of a packet besides the reply.
_PACKET_HEAD_BYTES = 1024
#: Methods whose credentials the broker would show, or whose events come by topics once for all readers.
_NOT_HERE = frozenset(
    {"authenticate", "create_api_key", "create_view_link", "subscribe_events", "unsubscribe_events"}
)


@dataclass(frozen=True, slots=True)
class _Proven:
    """Call whose sender is proven, and what signs the reply."""

    call: SignedCall
    signer: CallSigner


class CallDesk:
    """Part that runs signed calls. Sessions outlive connections to the broker; a reply without a connection is lost.

    Args:
        topics: the agent's topics.
        settings: limits of calls.
        sessions: the agent's session logic.
        clock: for idle sessions and rates.
    """

    def __init__(
        self, topics: AgentTopics, settings: CommandSettings, sessions: ClientSessions, clock: Clock
    ) -> None:
        self._topics = topics
        self._settings = settings
        self._sessions = sessions
        self._clock = clock
        self._open: dict[tuple[str, str], CallSession] = {}
        self._broker: BrokerPublisher | None = None
        self._tasks: TaskGroup | None = None
        self._checks = self._calls = 0
        self._allowance = Budget(_CHECK_BURST, _CHECKS_PER_S, clock.monotonic_s())
        self.refusals = Refusals(clock)
        self.subscriptions: Sequence[Subscription] = (Subscription(topics.calls, as_published=True),)

    @property
    def open_sessions(self) -> int:
        """Number of sessions."""
        return len(self._open)

    async def run(self, *, task_status: Started = NOT_ASKED) -> None:
        """Run calls and sessions until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            task_status.started()
            try:
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def online(self, broker: BrokerPublisher) -> None:
        """Send replies over this connection until cancelled."""
        self._broker = broker
        try:
            await anyio.sleep_forever()
        finally:
            self._broker = None

    def received(self, message: Incoming) -> None:
        """Take a message that asks for a call."""
        if self._tasks is None:
            return
        affordable = self._allowance.take(cost_of(message), self._clock.monotonic_s())
        if self._checks >= _MOST_CHECKS or not affordable:
            self.refusals.note("busy")
            return
        try:
            call = signed_call(
                message,
                prefix=self._topics.prefix,
                agent=self._topics.agent,
                most_bytes=self._settings.max_request_bytes,
            )
        except NoCall as refusal:
            self.refusals.note(refusal.reason)
            return
        self._checks += 1
        self._tasks.start_soon(self._handle, self._tasks, call)

    async def _handle(self, tasks: "TaskGroup", call: SignedCall) -> None:
        try:
            verified = await self._sessions.verify(
                call, agent=self._topics.agent, trust_clock=self._settings.trust_clock
            )
        except CallRefused as refusal:
            self.refusals.note(refusal.error.reason)
            if refusal.signer is not None and self.refusals.may_answer(call.key_id):
                await self._refuse(_Proven(call, refusal.signer), refusal.error)
            return
        except AgentError as error:
            self.refusals.note(error.reason)
            return
        finally:
            self._checks -= 1
        await self._run(tasks, _Proven(call, verified.signer), verified.principal)

    async def _run(self, tasks: "TaskGroup", proven: _Proven, principal: PrincipalSource) -> None:
        self._calls += 1
        try:
            if self._calls > self._settings.max_calls:
                raise _busy("Too many calls run through the broker.", "too_many_calls")
            method = proven.call.request["method"]
            if method in _NOT_HERE:
                raise _not_here(str(method))
            session = self._session(tasks, principal, proven.call.client)
            await self._reply(proven, await session.call(proven.call.request))
        except AgentError as error:
            await self._refuse(proven, error)
        finally:
            self._calls -= 1

    def _session(self, tasks: "TaskGroup", principal: PrincipalSource, client: str) -> CallSession:
        """Return the session of a user and client; begin it if there is none, in place of a spare one if need be.

        Raises:
            RateLimited: there is no room.
        """
        place = (principal.credential, client)
        session = self._open.get(place)
        if session is not None and not session.is_over:
            return session
        of_user = [each for each in self._open if each[0] == principal.credential]
        if len(of_user) >= MOST_SESSIONS_OF_USER:
            self._make_room(of_user)
        elif len(self._open) >= MOST_SESSIONS:
            self._make_room(self._open)
        made = CallSession(client, principal, idle_s=self._settings.session_idle_s, clock=self._clock)
        self._open[place] = made
        tasks.start_soon(self._keep, place, made)
        return made

    def _make_room(self, places: "Iterable[tuple[str, str]]") -> None:
        """End the session that was used longest ago: programs that run for one call leave theirs behind."""
        spare = {
            place: since_s for place in places if (since_s := self._open[place].spare_since_s) is not None
        }
        if not spare:
            raise _busy("Too many clients have sessions through the broker.", "too_many_sessions")
        self._open.pop(min(spare, key=spare.__getitem__)).end()

    async def _keep(self, place: tuple[str, str], session: CallSession) -> None:
        try:
            await session.run(self._sessions)
        finally:
            if self._open.get(place) is session:
                del self._open[place]

    async def _refuse(self, proven: _Proven, error: AgentError) -> None:
        await self._reply(proven, self._sessions.error_reply(proven.call.request, error).encode())

    async def _reply(self, proven: _Proven, reply: bytes) -> None:
        """Send a reply, or an error if it is too large. Without a connection it is lost."""
        broker, call = self._broker, proven.call
        if broker is None:
            return
        most_bytes = min(self._settings.max_reply_bytes, broker.packet_bytes - _PACKET_HEAD_BYTES)
        if len(reply) > most_bytes:
            error = _too_large(len(reply), most_bytes)
            reply = self._sessions.error_reply(call.request, error).encode()
        message = Outgoing(
            call.response_topic,
            reply,
            content_type="application/json",
            properties={"agent": self._topics.agent, "signature": proven.signer.sign(reply)},
            expiry_s=_REPLY_EXPIRY_S,
            correlation=call.correlation,
        )
        try:
            await broker.publish(message)
        except BrokerLost:
            return


def _busy(details: str, reason: str) -> RateLimited:
    return RateLimited(details, retry_after_ms=_BUSY_RETRY_MS, reason=reason)


def _not_here(method: str) -> Unsupported:
    return Unsupported(
        f"{method} is not possible through a broker.",
        feature=method,
        reason="not_over_broker",
        suggestion="Use the agent's WebSocket; events come by topics at the broker.",
    )


def _too_large(size_bytes: int, most_bytes: int) -> Unsupported:
    return Unsupported(
        f"The reply has {size_bytes} bytes, and {most_bytes} are possible through this broker.",
        feature="large_replies",
        reason="reply_too_large",
        suggestion="Ask for less, such as a smaller picture or a shorter list, or raise commands.max_reply_bytes.",
    )
