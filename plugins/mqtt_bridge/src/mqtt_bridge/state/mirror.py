"""Mirror of the agent's state in retained topics."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskStatus
from pydantic_core import to_json

from agent_core.plugin import NOT_ASKED, Clock, GrowingPauses, first_of
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.link import AgentEvent, CallRefused
from mqtt_bridge.state.documents import (
    AgentFacts,
    Document,
    agent_document,
    camera_document,
    health_document,
    recording_document,
    start_of,
)
from mqtt_bridge.state.told import NewestPicture, ToldFacts
from mqtt_bridge.state.view import AgentReader, AgentView
from mqtt_bridge.topics import AgentTopics

__all__ = ("StateMirror", "StatePace")

_LOG = logging.getLogger("camera_agent.mqtt_bridge")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class StatePace:
    """Times of the mirror in seconds: between two readings after changes, and between two complete ones without any."""

    min_interval_s: float
    refresh_s: float


class StateMirror:
    """Mirror of the agent's state: each event makes it read the agent's memory again.

    What it shows is the state at a time after the last event, whichever events were lost or came in another order.

    Args:
        topics: the agent's topics at the broker.
        facts: what the settings say about the agent.
        reader: reads the agent's state.
        retained: publishes what changes; topics of cameras that are gone are cleared there.
        told: what only events tell.
        qos: 0 or 1.
        clock: for the pace.
        pace: how often it reads.

    Attributes:
        view: state as it was last read; None before the first time.
    """

    topics = (
        "camera.connected",
        "camera.disconnected",
        "camera.status_change",
        "system.health",
        "system.startup",
        *ToldFacts.topics,
    )

    def __init__(
        self,
        topics: AgentTopics,
        facts: AgentFacts,
        reader: AgentReader,
        retained: RetainedTopics,
        *,
        told: ToldFacts,
        qos: int,
        clock: Clock,
        pace: StatePace,
    ) -> None:
        self._topics = topics
        self._facts = facts
        self._reader = reader
        self._retained = retained
        self._qos = qos
        self._shown: frozenset[str] = frozenset()
        self._clock = clock
        self._pace = pace
        self._told = told
        self._changed = anyio.Event()
        self._started_at = ""
        self._observers: list[Callable[[AgentView], None]] = []
        self.view: AgentView | None = None

    def observe(self, observer: Callable[[AgentView], None]) -> None:
        """Call `observer` after each reading; it must not wait and not raise. Call this before `run`."""
        self._observers.append(observer)

    def take(self, event: AgentEvent) -> None:
        """Note an event, which makes the mirror read the state anew."""
        self._told.take(event)
        self._changed.set()

    def note_picture(self, camera: str, picture: NewestPicture) -> None:
        """Note a picture that the bridge has published; shown with the next change or refresh."""
        self._told.note_picture(camera, picture)

    async def run(self, boot_id: str, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Show the state and keep it current until cancelled; started when it is shown for the first time.

        Args:
            boot_id: start of the agent whose events `take` receives from now on.
            task_status: told of the start.
        """
        pauses = GrowingPauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        refresh_at_s = 0.0
        while True:
            self._changed = anyio.Event()
            is_whole = self._clock.monotonic_s() >= refresh_at_s
            try:
                self.view = await self._read(whole=is_whole)
            except CallRefused as error:
                _LOG.warning("cannot read the agent's state for the broker: %s", error.details)
                await self._clock.sleep(pauses.next_s())
                continue
            pauses.reset()
            self._show(self._payloads(self.view, boot_id))
            for observer in self._observers:
                observer(self.view)
            task_status.started()
            task_status = NOT_ASKED
            if is_whole:
                refresh_at_s = self._clock.monotonic_s() + self._pace.refresh_s
            await self._clock.sleep(self._pace.min_interval_s)
            left_s = max(0.0, refresh_at_s - self._clock.monotonic_s())
            await first_of(self._changed.wait, partial(self._clock.sleep, left_s))

    async def _read(self, *, whole: bool) -> AgentView:
        if self.view is None or whole:
            return await self._reader.read()
        return await self._reader.read_changes(self.view)

    def _show(self, payloads: Mapping[str, bytes]) -> None:
        for topic, payload in payloads.items():
            self._retained.set(
                topic, Outgoing(topic, payload, qos=self._qos, retain=True, content_type="application/json")
            )
        for gone in self._shown - payloads.keys():
            self._retained.clear(gone)
        self._shown = frozenset(payloads)

    def _payloads(self, view: AgentView, boot_id: str) -> Mapping[str, bytes]:
        self._told.keep_only(view.camera_ids)
        self._started_at = self._started_at or start_of(view.status)
        documents: dict[str, Document] = {
            self._topics.agent_state: agent_document(
                view, self._facts, boot_id=boot_id, started_at=self._started_at
            ),
            self._topics.health: health_document(view),
        }
        running = view.metrics.recording_metrics.recordings
        for camera, form in view.camera_forms.items():
            picture, told = self._told.pictures.get(camera), self._told.recordings.get(camera)
            documents[self._topics.camera(camera)] = camera_document(form, picture)
            documents[self._topics.recording(camera)] = recording_document(camera, running.get(camera), told)
        return {topic: to_json(document) for topic, document in documents.items()}
