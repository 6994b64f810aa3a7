"""Unsigned commands of a hub: recordings and snapshots, and nothing else."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import anyio
from anyio.abc import TaskStatus
from pydantic import JsonValue

from agent_core.plugin import NOT_ASKED, Clock
from mqtt_bridge.broker.messages import Incoming, Subscription
from mqtt_bridge.broker.part import BrokerPart, BrokerPublisher
from mqtt_bridge.link import CallRefused
from mqtt_bridge.topics import AgentTopics

__all__ = ("HubCommands", "HubControl")

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
#: Method for what a message at `control/<camera>/<what>` says.
_METHODS: Mapping[tuple[str, bytes], str] = {
    ("record", b"ON"): "start_recording",
    ("record", b"OFF"): "stop_recording",
    ("snapshot", b"PRESS"): "take_snapshot",
}
#: What is already so is no failure.
_SO_ALREADY = frozenset({"already_recording", "not_recording"})
#: Time between two commands of one kind to one camera; of those that come meanwhile, the last one counts.
_PAUSE_S = 1.0


class HubCommands(Protocol):
    """Calls of the agent's methods as an operator, and the ids of its cameras."""

    @property
    def cameras(self) -> Collection[str]: ...

    async def call(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Return the method's result. Raises CallRefused."""
        ...


class HubControl(BrokerPart):
    """Receiver of unsigned commands: each client that may publish at the broker can send them. Their effect shows in the state.

    Retained commands are ignored, since the broker would repeat them at each connection. `run` carries commands out, one of
    a kind at a time for each camera, so a flood of messages has no more effect than one per second.

    Args:
        topics: the agent's topics.
        commands: calls to the agent.
        clock: for the pauses.
    """

    def __init__(self, topics: AgentTopics, commands: HubCommands, clock: Clock) -> None:
        self._root = topics.control("", "").rstrip("/") + "/"
        self._subscription = Subscription(topics.control("+", "+"), as_published=True)
        self._commands = commands
        self._clock = clock
        self._waiting: dict[tuple[str, str], str] = {}
        self._busy: set[tuple[str, str]] = set()
        self._arrived = anyio.Event()
        self._told: dict[tuple[str, str], str] = {}

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        return (self._subscription,)

    async def online(self, broker: BrokerPublisher) -> None:
        """Do nothing: commands outlive the connection that they came by."""

    def received(self, message: Incoming) -> None:
        """Note a command; what is none, or is for no camera of this agent, is ignored."""
        camera, _, what = message.topic.removeprefix(self._root).partition("/")
        method = _METHODS.get((what, message.payload))
        if method is None or camera not in self._commands.cameras:
            return
        if message.retained:
            self._tell(
                (camera, what), "retained", "it is retained. Clear the topic, and send it without retain."
            )
            return
        self._waiting[camera, what] = method
        self._arrived.set()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Carry out commands until cancelled."""
        async with anyio.create_task_group() as tasks:
            task_status.started()
            while True:
                await self._arrived.wait()
                self._arrived = anyio.Event()
                for kind in self._waiting.keys() - self._busy:
                    self._busy.add(kind)
                    tasks.start_soon(self._serve, kind)

    async def _serve(self, kind: tuple[str, str]) -> None:
        while (method := self._waiting.pop(kind, None)) is not None:
            await self._carry_out(kind, method)
            await self._clock.sleep(_PAUSE_S)
        self._busy.discard(kind)

    async def _carry_out(self, kind: tuple[str, str], method: str) -> None:
        camera, _ = kind
        try:
            await self._commands.call(method, {"device": camera})
        except CallRefused as refusal:
            if refusal.reason not in _SO_ALREADY:
                self._tell(kind, refusal.reason, refusal.details)
                return
        self._told.pop(kind, None)

    def _tell(self, kind: tuple[str, str], reason: str, details: str) -> None:
        """Log a failure, once until the command succeeds or fails for another reason."""
        if self._told.get(kind) != reason:
            self._told[kind] = reason
            _LOG.warning("the command %s for %s was not carried out: %s", kind[1], kind[0], details)
