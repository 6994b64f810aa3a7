"""Events that wait for the broker, bounded in number and bytes. Without I/O."""

from collections import deque
from dataclasses import dataclass

from pydantic_core import to_json

from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent

__all__ = ("EventOutbox", "Letter")

#: Memory of a waiting event besides its payload: its objects and texts.
_OVERHEAD_BYTES = 300
#: Members of params that let each reader of the topic open a file.
_LINKS = frozenset({"download_url", "thumbnail_url"})


@dataclass(frozen=True, slots=True)
class Letter:
    """Event as it is published.

    Attributes:
        topic: the event's topic.
        payload: JSON.
        boot_id, sequence: place of the event.
        after: number of the last event before those that the letter is about: one, or for a notice of losses many.
        count: how many these are.
    """

    topic: str
    payload: bytes
    boot_id: str
    sequence: int
    after: int
    count: int = 1

    @property
    def size_bytes(self) -> int:
        return len(self.payload) + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class _Loss:
    """Events that were dropped: `count` of them, numbered above `after` and up to `sequence`."""

    boot_id: str
    after: int
    sequence: int
    count: int

    def and_also(self, dropped: Letter) -> "_Loss":
        return _Loss(self.boot_id, self.after, dropped.sequence, self.count + dropped.count)


class EventOutbox:
    """Newest events that the broker has not acknowledged, oldest first.

    Beyond the limits the oldest ones are dropped, and a letter in their place tells which. The letter that is on its way
    stays until `delivered`, so that it is sent again after a break. All events are of one start of the agent.

    Args:
        kept: most events that wait besides the one on its way.
        kept_bytes: most bytes of these.

    Attributes:
        dropped: number of events dropped so far.
        size_bytes: memory of the waiting events.
    """

    def __init__(self, kept: int, kept_bytes: int) -> None:
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._waiting: deque[Letter] = deque()
        self._on_its_way: Letter | None = None
        self._loss: _Loss | None = None
        self.dropped = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + (self._on_its_way is not None)

    def configure(self, kept: int, kept_bytes: int) -> None:
        """Apply other limits at once."""
        self._kept, self._kept_bytes = kept, kept_bytes
        self._drop_excess()

    def add(self, event: AgentEvent) -> None:
        """Append an event, and drop the oldest ones if there is no room."""
        letter = _letter(event)
        self._waiting.append(letter)
        self.size_bytes += letter.size_bytes
        self._drop_excess()

    def _drop_excess(self) -> None:
        while len(self._waiting) > self._kept or self.size_bytes > self._kept_bytes:
            self._drop_oldest()

    def next(self) -> Letter | None:
        """Return the letter to send now, the same one until `delivered`; None if there is nothing to send."""
        if self._on_its_way is None:
            if self._loss is not None:
                self._on_its_way, self._loss = _notice(self._loss), None
            elif self._waiting:
                self._on_its_way = self._waiting.popleft()
                self.size_bytes -= self._on_its_way.size_bytes
        return self._on_its_way

    def delivered(self) -> None:
        """Forget the letter that `next` returned: the broker has it."""
        self._on_its_way = None

    def _drop_oldest(self) -> None:
        letter = self._waiting.popleft()
        self.size_bytes -= letter.size_bytes
        self.dropped += letter.count
        if self._loss is None:
            self._loss = _Loss(letter.boot_id, letter.after, letter.sequence, letter.count)
        else:
            self._loss = self._loss.and_also(letter)


def _letter(event: AgentEvent) -> Letter:
    params = {name: value for name, value in event.params.items() if name not in _LINKS}
    payload = to_json(
        {"boot_id": event.boot_id, "sequence": event.sequence, "topic": event.topic, "params": params}
    )
    after, count = event.sequence - 1, 1
    if event.topic == EVENTS_DROPPED:
        after, count = _number(event.params.get("after"), after), _number(event.params.get("count"), count)
    return Letter(event.topic, payload, event.boot_id, event.sequence, after, count)


def _number(value: object, otherwise: int) -> int:
    return value if type(value) is int else otherwise


def _notice(loss: _Loss) -> Letter:
    params = {
        "sequence": loss.sequence,
        "count": loss.count,
        "reason": "outbox_full",
        "boot_id": loss.boot_id,
        "after": loss.after,
    }
    payload = to_json(
        {
            "boot_id": loss.boot_id,
            "sequence": loss.sequence,
            "topic": EVENTS_DROPPED,
            "params": params,
        }
    )
    return Letter(EVENTS_DROPPED, payload, loss.boot_id, loss.sequence, loss.after, loss.count)
