"""Stand-in for the agent's session logic: one journal of events, whose losses a test decides."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from agent_core.plugin import AgentError, ClientStream, PrincipalSource, SignedCall, VerifiedCall

__all__ = ("JournalSessions", "Refusal")

TOPICS = ("camera.connected", "camera.status_change", "recording.start", "system.startup")


@dataclass(frozen=True)
class Own:
    role: str
    user_id: str = "mqtt_bridge"
    credential: str = "own"


@dataclass(frozen=True)
class Refusal(Exception):
    code: int
    reason: str


@dataclass(eq=False)
class _Session:
    stream: ClientStream
    role: str
    scope: anyio.CancelScope
    topics: set[str] = field(default_factory=set)


class JournalSessions:
    """`ClientSessions` over `events`, each with its number, topic and params.

    Attributes:
        oldest: number of the oldest event that the journal still has.
        answers: functions that answer methods, by name; they may raise Refusal.
        called: role and method of each call, in order.
    """

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.events: list[tuple[int, str, Mapping[str, Any]]] = []
        self.oldest = 1
        self.answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.called: list[tuple[str, str]] = []
        self.sessions: list[_Session] = []

    def own(self, role: str) -> PrincipalSource:
        return Own(role)

    async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> VerifiedCall:
        raise NotImplementedError

    def error_reply(self, request: Mapping[str, Any], error: AgentError) -> str:
        raise NotImplementedError

    async def serve(self, stream: ClientStream, principal: PrincipalSource, *, address: str) -> None:
        with anyio.CancelScope() as scope:
            session = _Session(stream, principal.role, scope)
            self.sessions.append(session)
            try:
                await self._serve(session)
            except anyio.EndOfStream:
                return
            finally:
                self.sessions.remove(session)

    def end_sessions(self) -> None:
        for session in self.sessions:
            session.scope.cancel()

    async def publish(self, *topics: str, drop: bool = False, **params: Any) -> int:
        """Publish one event, as notifications of each topic; with `drop` as if each session's queue were full."""
        sequence = len({number for number, _, _ in self.events}) + 1
        for topic in topics:
            self.events.append((sequence, topic, {**params, "sequence": sequence}))
            for session in () if drop else self.sessions:
                await self._notify(session, topic, {**params, "sequence": sequence})
        return sequence

    async def tell_dropped(self, reason: str, after: int, sequence: int) -> None:
        for session in self.sessions:
            await self._tell(session, reason, after, sequence)

    async def _serve(self, session: _Session) -> None:
        while True:
            request = json.loads(await session.stream.receive())
            self.called.append((session.role, request["method"]))
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                result, replay = self._answer(session, request["method"], request["params"])
            except Refusal as refusal:
                data = {"reason": refusal.reason, "details": f"Refused: {refusal.reason}."}
                error = {"code": refusal.code, "message": "refused", "data": data}
                await session.stream.send(json.dumps(reply | {"error": error}))
                continue
            if result is NotImplemented:  # a call that is never answered
                continue
            # The reply and what follows it come without a pause, as from a socket's buffer.
            await session.stream.send(json.dumps(reply | {"result": result}))
            if replay is not None:
                await self._replay(session, replay)

    def _answer(self, session: _Session, method: str, params: Mapping[str, Any]) -> tuple[Any, int | None]:
        if method != "subscribe_events":
            return self.answers[method](params), None
        if not set(params["topics"]) <= set(TOPICS):
            raise Refusal(-32602, "invalid_params")
        session.topics |= set(params["topics"])
        since = params.get("replay_since")
        newest = max((number for number, _, _ in self.events), default=0)
        if since is not None:
            assert since["boot_id"] == self.boot_id
        return {"boot_id": self.boot_id, "sequence": newest}, None if since is None else since["sequence"]

    async def _replay(self, session: _Session, after: int) -> None:
        if after + 1 < self.oldest:
            await self._tell(session, "journal_overflow", after, self.oldest - 1)
        for number, topic, params in [*self.events]:
            if number > after and number >= self.oldest:
                await self._notify(session, topic, params)

    async def _tell(self, session: _Session, reason: str, after: int, sequence: int) -> None:
        params = {
            "sequence": sequence,
            "after": after,
            "count": sequence - after,
            "reason": reason,
            "boot_id": self.boot_id,
        }
        await self._notify(session, "system.events_dropped", params)

    async def _notify(self, session: _Session, topic: str, params: Mapping[str, Any]) -> None:
        if topic in session.topics or topic == "system.events_dropped":
            await session.stream.send(json.dumps({"jsonrpc": "2.0", "method": topic, "params": params}))
