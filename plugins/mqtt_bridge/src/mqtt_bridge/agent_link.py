"""Session of the bridge with its own agent, for calls and events."""

import logging
from collections.abc import Mapping

import anyio
from pydantic import JsonValue

from agent_core.plugin import AgentError, ClientSessions, Clock, GrowingPauses
from mqtt_bridge.agent_line import AgentLine
from mqtt_bridge.agent_place import AgentPlace, Subscribed
from mqtt_bridge.link import AgentListener, CallRefused

__all__ = ("AgentLink",)

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
_INVALID_PARAMS = -32602
#: Pauses before a session that has ended begins again.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0
#: Longest wait of a call for a session.
_SESSION_WAIT_S = 10.0


class AgentLink:
    """Link to the agent with one role. `run` owns the sessions, one after the other; any number of tasks may call.

    The listeners get each event once, in the order of the numbers, from the agent's start on, over the ends of sessions
    too. What the agent's journal no longer has is told as `EVENTS_DROPPED` in its place.

    Args:
        sessions: session logic that the agent lends.
        role: role of all calls.
        clock: for pauses.
        place: place that an earlier link has reached; default: the beginning of the agent's start.
    """

    def __init__(
        self,
        sessions: ClientSessions,
        role: str,
        clock: Clock,
        *,
        place: AgentPlace | None = None,
    ) -> None:
        self._sessions = sessions
        self._role = role
        self._clock = clock
        self._listeners: list[AgentListener] = []
        self._topics: list[str] = []
        self._place = place or AgentPlace()
        #: Set when events have to be requested again.
        self._gap = anyio.Event()
        self._followed = anyio.Event()
        self._line: AgentLine | None = None
        self._opened = anyio.Event()

    def listen(self, listener: AgentListener) -> None:
        """Give `listener` the events, from the first on. Call it before `run`; without any, nothing is subscribed to."""
        self._listeners.append(listener)
        self._topics = [*dict.fromkeys((*self._topics, *listener.topics))]

    async def call(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Return the result of `method`; wait for a session if there is none. See `AgentCalls`."""
        if self._line is None:
            with anyio.move_on_after(_SESSION_WAIT_S):
                await self._opened.wait()
        if self._line is None:
            raise CallRefused(
                f"{method} was not called: the bridge has no session with the agent.",
                code=0,
                reason="session_ended",
            )
        return await self._line.call(method, params or {})

    async def followed(self) -> str:
        """Wait until no further event can be missed, and return the `boot_id` of the agent's start."""
        while self._place.is_stale:
            await self._followed.wait()
        return self._place.boot_id

    async def run(self) -> None:
        """Keep a session until cancelled; another one follows each that ends."""
        pauses = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            began_s = self._clock.monotonic_s()
            await self._hold_session()
            if self._clock.monotonic_s() - began_s >= _LONGEST_PAUSE_S:
                pauses.reset()
            pause_s = pauses.next_s()
            _LOG.warning(
                "the bridge's session as %s has ended; the next begins in %.1f s", self._role, pause_s
            )
            await self._clock.sleep(pause_s)

    async def _hold_session(self) -> None:
        line = AgentLine(self._notified)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, line, tasks.cancel_scope)
            self._line = line
            self._opened.set()
            try:
                if self._topics:
                    await self._follow(line)
                await anyio.sleep_forever()
            except CallRefused as error:
                _LOG.warning("the bridge cannot follow the agent's events: %s", error.details)
                tasks.cancel_scope.cancel()
            finally:
                self._line, self._opened = None, anyio.Event()
                self._place.broken()
                line.end()

    async def _serve(self, line: AgentLine, scope: anyio.CancelScope) -> None:
        try:
            await self._sessions.serve(line, self._sessions.own(self._role), address="mqtt:bridge")
        except AgentError as error:
            _LOG.warning("the agent has ended the bridge's session as %s: %s", self._role, error.details)
        scope.cancel()

    async def _follow(self, line: AgentLine) -> None:
        """Subscribe, and again each time the session has dropped events that the journal may have."""
        newest = await self._subscribe_known(line)
        while True:
            self._gap = anyio.Event()
            replay = self._place.request(newest)
            params: dict[str, JsonValue] = {"topics": [*self._topics], "replay_since": dict(replay)}
            answer = await line.call("subscribe_events", params, at_once=self._begin)
            newest = Subscribed.model_validate(answer)
            await self._gap.wait()

    def _begin(self, _answer: JsonValue) -> None:
        self._place.subscribed()
        self._followed.set()
        self._followed = anyio.Event()

    async def _subscribe_known(self, line: AgentLine) -> Subscribed:
        """Subscribe to the topics that exist; what comes before the replay is requested comes in the replay again."""
        try:
            answer = await line.call("subscribe_events", {"topics": [*self._topics]})
        except CallRefused as error:
            if error.code != _INVALID_PARAMS:
                raise
            await self._drop_unknown_topics(line)
            answer = await line.call("subscribe_events", {"topics": [*self._topics]})
        return Subscribed.model_validate(answer)

    async def _drop_unknown_topics(self, line: AgentLine) -> None:
        for topic in [*self._topics]:
            try:
                await line.call("subscribe_events", {"topics": [topic]})
            except CallRefused as error:
                if error.code != _INVALID_PARAMS:
                    raise
                self._topics.remove(topic)
                _LOG.warning(
                    "there is no topic %s; correct plugins.mqtt_bridge.events.topics: %s",
                    topic,
                    error.details,
                )

    def _notified(self, topic: str, params: Mapping[str, JsonValue]) -> None:
        was_stale = self._place.is_stale
        event = self._place.accept(topic, params)
        if self._place.is_stale and not was_stale:
            self._gap.set()
        if event is not None:
            for listener in self._listeners:
                listener.take(event)
