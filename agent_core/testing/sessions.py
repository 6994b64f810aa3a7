"""Stand-in for the sessions that the core lends to plugins."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from inspect import isawaitable

import anyio
from pydantic import JsonValue

from agent_core.api.session import add_session_methods
from agent_core.auth.limits import RateLimiter
from agent_core.auth.live import LiveAccess
from agent_core.auth.own import OwnPrincipals
from agent_core.auth.roles import Principal, Role
from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, AuthenticationFailed
from agent_core.base.events import EventBus, Stamp
from agent_core.base.models import CameraId
from agent_core.plugin.sessions import CallRefused, ClientStream, PrincipalSource, SignedCall, VerifiedCall
from agent_core.rpc.feed import EventSource
from agent_core.rpc.journal import EventJournal
from agent_core.rpc.lent_sessions import LentSessions, SessionLender
from agent_core.rpc.session import SharedParts
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import Caller, MethodTable
from agent_core.rpc.topics import CORE_TOPICS, EventTopics

__all__ = ("Answer", "FakeCall", "FakeSessions")

#: Limit of each wait, generous for a loaded machine.
_WAIT_LIMIT_S = 20.0
_NO_LIMIT = 10**9
_JOURNAL_BYTES = 4 << 20

#: Result of a method, error that it raises, or function that makes either from the params, at once or later.
Answer = JsonValue | AgentError | Callable[[Mapping[str, JsonValue]], "JsonValue | Awaitable[JsonValue]"]


@dataclass(frozen=True, slots=True)
class FakeCall:
    """Call that has come in: its method and params, and the name, role and address of the caller."""

    method: str
    params: Mapping[str, JsonValue]
    user_id: str
    role: str
    address: str


class FakeSessions:
    """`ClientSessions` without an agent; `ClientSessionsContract` holds it to the real one.

    The sessions are the agent's own code, over methods and events that a test scripts. The methods of the contract about
    the session itself exist, such as `ping`, `subscribe_events` with replays, and `get_subscription_stats`; others exist
    once they have an answer. A call without one ends with `method_not_found`.

    Args:
        clock: tells the times of events and the end of credentials.
        plugin: name of the plugin, which `own` gives to its user.
        topics: topics of plugins besides those of the core.
        max_queued_events: events that wait for one session; see `server.max_queued_events`.

    Attributes:
        answers: answers by method, those to the methods of sessions included; a test may change them at any time.
        roles: role that a method with an answer needs, by its name; default: viewer.
        calls: calls that have come in, in order, those that were refused included.
        signed: calls that `verify` was asked about, in order.
        keys: users of signed calls by the id of their key, whose calls `verify` accepts.
        refusal: error of each call of `verify` from now on; None accepts those of `keys`.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        plugin: str = "plugin",
        topics: Sequence[str] = (),
        max_queued_events: int = 256,
    ) -> None:
        self._script = _Script()
        self.answers, self.roles, self.calls = self._script.answers, self._script.roles, self._script.calls
        self.signed: list[SignedCall] = []
        self.keys: dict[str, PrincipalSource] = {}
        self.refusal: AgentError | None = None
        self._clock = clock
        self._own = OwnPrincipals()
        self._judge = _Judge()
        self._live = LiveAccess()
        self._topics, self._capacity = topics, max_queued_events
        self._lent = LentSessions()
        self._plugin = self._lent.to(plugin)
        self._serving: set[anyio.CancelScope] = set()
        self._begin()

    async def serve(self, stream: ClientStream, principal: PrincipalSource, *, address: str) -> None:
        with anyio.CancelScope() as scope:
            self._serving.add(scope)
            self._script.announce()
            try:
                await self._plugin.serve(stream, principal, address=address)
            finally:
                self._serving.discard(scope)
                self._script.announce()

    def own(self, role: str) -> PrincipalSource:
        return self._plugin.own(role)

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        """Accept the calls of `keys` that are for `agent`; checks no signature, time or nonce."""
        self.signed.append(call)
        if self.refusal is not None:
            raise CallRefused(self.refusal, _FakeSigner(call))
        if call.agent != agent:
            raise CallRefused(AuthenticationFailed("The call is for another agent.", reason="foreign_agent"))
        if call.key_id not in self.keys:
            raise CallRefused(AuthenticationFailed("The key is unknown.", reason="signature_invalid"))
        return VerifiedCall(self.keys[call.key_id], _FakeSigner(call))

    def error_reply(self, request: Mapping[str, JsonValue], error: AgentError) -> str:
        return self._plugin.error_reply(request, error)

    # For tests.

    @property
    def open(self) -> int:
        """Number of sessions that are served now."""
        return len(self._serving)

    @property
    def boot_id(self) -> str:
        """Name of the present start, in answers of `subscribe_events`."""
        return self._bus.boot_id

    def user(
        self, user_id: str = "client", role: str = "operator", *, expires_at: datetime | None = None
    ) -> PrincipalSource:
        """Return a user as `verify` gives it; always the same one for the same arguments."""
        end = "" if expires_at is None else expires_at.isoformat()
        return Principal(user_id, Role(role), expires_at, f"fake:{user_id}.{role}.{end}")

    async def revoke(self, principal: PrincipalSource) -> None:
        """End the sessions of a user, whose credentials are revoked from now on."""
        self._judge.revoked.add(principal.credential)
        await self._live.recheck()

    def publish(self, topic: str, params: Mapping[str, JsonValue]) -> int:
        """Send an event to the sessions that have subscribed, and return its number.

        Subscribers of `recording_status_update` and the like get the events of the topics that feed these; filters compare
        the field `device`. The agent adds `sequence`.
        """
        device = params.get("device")
        self._bus.publish(topic, dict(params), camera=CameraId(device) if isinstance(device, str) else None)
        return self._bus.published

    def end_sessions(self) -> None:
        """End all sessions, whose clients can come again."""
        for scope in tuple(self._serving):
            scope.cancel()

    def restart(self) -> None:
        """End all sessions, and number events from 1 under another `boot_id`, as an agent that has started again."""
        self.end_sessions()
        self._begin()

    async def wait_calls(self, method: str, count: int = 1) -> list[FakeCall]:
        """Wait until `method` was called `count` times, and return its calls.

        Raises:
            TimeoutError: fewer came within 20 s.
        """
        with anyio.fail_after(_WAIT_LIMIT_S):
            while len(found := [each for each in self.calls if each.method == method]) < count:
                await self._script.changed.wait()
        return found

    async def wait_subscribed(self, topic: str) -> None:
        """Wait until a session has subscribed to `topic`, so that it gets what is published from now on.

        Raises:
            TimeoutError: none did within 20 s.
        """
        with anyio.fail_after(_WAIT_LIMIT_S):
            while topic not in self._sessions.topic_counts():
                await self._script.changed.wait()

    async def wait_open(self, count: int) -> None:
        """Wait until exactly `count` sessions are served.

        Raises:
            TimeoutError: it took longer than 20 s.
        """
        with anyio.fail_after(_WAIT_LIMIT_S):
            while self.open != count:
                await self._script.changed.wait()

    def _begin(self) -> None:
        """Begin a start of the agent: with new events, and without sessions."""
        self._bus = EventBus(self._clock)
        topics = EventTopics()
        for topic in CORE_TOPICS:
            topics.register(topic.name, _numbered)
        for name in self._topics:
            topics.add_plugin_topic(name.partition(".")[0], name)
        table = _ScriptedTable(self._script)
        journal = EventJournal(self._bus, topics, max_bytes=_JOURNAL_BYTES)
        self._sessions = Sessions(
            SharedParts(
                table=table,
                authenticator=self._judge,
                limiter=RateLimiter(_NO_LIMIT, _NO_LIMIT, self._clock),
                events=EventSource(self._bus, journal, topics, self._capacity),
                clock=self._clock,
                live=self._live,
            )
        )
        add_session_methods(table, self._sessions, topics, title="fake", version="0")
        self._lent.open(SessionLender(self._sessions, self._own))


def _numbered(payload: Mapping[str, object], stamp: Stamp) -> Mapping[str, object]:
    return {**payload, "sequence": stamp.sequence}


@dataclass
class _Judge:
    """Judge that knows which credentials a test has revoked."""

    revoked: set[str] = field(default_factory=set)

    async def authenticate(self, credentials: str, address: str) -> Principal:
        raise AuthenticationFailed("There are no credentials to authenticate with.")

    def is_current(self, credential: str) -> bool:
        return credential not in self.revoked


@dataclass(frozen=True, slots=True)
class _FakeSigner:
    """Signer whose signature anyone can make: the SHA-256 of nonce and reply."""

    call: SignedCall

    def sign(self, reply: bytes) -> str:
        return hashlib.sha256(self.call.nonce.encode() + reply).hexdigest()


@dataclass
class _Script:
    """Answers that a test has given, and the calls that have come in. `changed` is set and replaced at each change."""

    answers: dict[str, Answer] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    calls: list[FakeCall] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def announce(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def answer(self, method: str, params: Mapping[str, JsonValue]) -> str:
        """Return the result of a method in `answers`, as JSON. Raises the error that it has."""
        answer = self.answers[method]
        if callable(answer):
            made = answer(params)
            answer = await made if isawaitable(made) else made
        if isinstance(answer, AgentError):
            raise answer
        return json.dumps(answer)


class _ScriptedTable(MethodTable):
    """Methods of sessions, and those that a test has given answers to, which come first."""

    def __init__(self, script: _Script) -> None:
        super().__init__()
        self._script = script

    def __contains__(self, name: str) -> bool:
        return name in self._script.answers or super().__contains__(name)

    def is_prompt(self, name: str) -> bool:
        return name not in self._script.answers and super().is_prompt(name)

    async def call(self, name: str, params: Mapping[str, object] | Sequence[object], caller: Caller) -> str:
        script, user = self._script, caller.user
        given: dict[str, JsonValue] = json.loads(json.dumps(params)) if isinstance(params, dict) else {}
        script.calls.append(FakeCall(name, given, user.user_id, user.role, caller.session.address))
        script.announce()
        try:
            if name not in script.answers:
                return await super().call(name, params, caller)
            caller.require(Role(script.roles.get(name, Role.VIEWER)))
            return await script.answer(name, given)
        finally:
            script.announce()
