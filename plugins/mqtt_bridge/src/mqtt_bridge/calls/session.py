"""Session of one user and client with the agent: calls wait for their replies, each under an id of its own."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import anyio
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from agent_core.plugin import AgentError, ClientSessions, Clock, InvalidState, PrincipalSource, first_of

__all__ = ("CallSession",)

#: Methods after which a session holds something that ends with it.
_HOLDS = frozenset({"start_streaming"})


@dataclass(slots=True)
class _Waiting:
    """Call with the id that its client has chosen; `reply` is None before there is one."""

    request_id: JsonValue
    answered: anyio.Event = field(default_factory=anyio.Event)
    reply: bytes | None = None


class CallSession:
    """One session at the agent, and the `ClientStream` of its calls.

    Clients choose the ids of their requests, and may choose one twice: the session has its own.

    Args:
        client: the client's name.
        principal: user of all calls.
        idle_s: time without a running call after which the session ends.
        clock: measures it.

    Attributes:
        is_over: no call can begin any more.
    """

    def __init__(self, client: str, principal: PrincipalSource, *, idle_s: float, clock: Clock) -> None:
        self.is_over = False
        self._client = client
        self._principal = principal
        self._idle_s = idle_s
        self._clock = clock
        self._numbers = 0
        self._waiting: dict[int, _Waiting] = {}
        self._requests: deque[str] = deque()
        self._changed = anyio.Event()
        self._used_at_s = clock.monotonic_s()
        self._may_hold = False
        self._problem: AgentError | None = None

    @property
    def spare_since_s(self) -> float | None:
        """Time since which this session could end unnoticed; None while a call runs or it may hold a stream."""
        return None if self._waiting or self._may_hold else self._used_at_s

    def end(self) -> None:
        """End the session as if it were idle. No call can begin any more."""
        self.is_over = True
        self._announce()

    async def run(self, sessions: ClientSessions) -> None:
        """Serve calls until the session is idle, its user's credentials end, or this call is cancelled."""
        try:
            await first_of(partial(self._serve, sessions), self._wait_idle)
        finally:
            self.is_over = True
            for each in self._waiting.values():
                each.answered.set()

    async def call(self, request: Mapping[str, JsonValue]) -> bytes:
        """Return the reply to a request, with the request's id.

        Raises:
            AgentError: the session ended before.
        """
        self._numbers += 1
        self._may_hold = self._may_hold or request["method"] in _HOLDS
        number, waiting = self._numbers, _Waiting(request["id"])
        self._waiting[number] = waiting
        rest = {name: value for name, value in request.items() if name != "id"}
        # The id first: the agent finds it there also in a request that it does not parse.
        self._requests.append(to_json({"id": number, **rest}).decode())
        self._announce()
        try:
            if not self.is_over:
                await waiting.answered.wait()
        finally:
            del self._waiting[number]
            self._used_at_s = self._clock.monotonic_s()
            self._announce()
        if waiting.reply is None:
            raise self._problem or _ended()
        return waiting.reply

    async def receive(self) -> str:
        """Return the next request to the agent."""
        while not self._requests:
            await self._changed.wait()
        return self._requests.popleft()

    async def send(self, text: str) -> None:
        """Take a reply of the agent. Notifications have no place here: there are no subscriptions."""
        message = from_json(text)
        waiting = self._waiting.get(message.get("id") or 0)
        if waiting is not None and "method" not in message:
            waiting.reply = to_json({**message, "id": waiting.request_id})
            waiting.answered.set()

    async def _serve(self, sessions: ClientSessions) -> None:
        try:
            await sessions.serve(self, self._principal, address=f"mqtt:{self._client}")
        except AgentError as error:  # such as a revoked key
            self._problem = error
        self.is_over = True

    async def _wait_idle(self) -> None:
        """Wait until no call has run for the idle time, or until `end`; then no call can begin any more."""
        while not self.is_over:
            left_s = self._used_at_s + self._idle_s - self._clock.monotonic_s()
            if not self._waiting and left_s <= 0:
                self.is_over = True
                return
            if self._waiting:
                await self._changed.wait()
            else:
                await first_of(partial(self._clock.sleep, left_s), self._changed.wait)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _ended() -> InvalidState:
    return InvalidState(
        "The session ended before the call did.",
        state="ended",
        allowed_states=("running",),
        reason="session_ended",
        suggestion="Read the state, then decide if you call again.",
    )
