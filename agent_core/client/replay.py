"""Place in the agent's sequence of events that a client has reached. Without I/O.

A module of its own: it decides what to ask for after a break, and which events of the answer are new.
"""

from agent_core.client.events import Event
from agent_core.client.protocol import JsonObject

__all__ = ("Progress",)


class Progress:
    """Progress of one client in the agent's sequence, which starts anew with each start of the agent."""

    def __init__(self) -> None:
        self._boot_id: str | None = None
        self._sequence: int | None = None
        self._of_topics: dict[str, int] = {}

    def request(self, begins_after: int) -> JsonObject:
        """Return params of `subscribe_events` that ask for the missed events; empty for an agent that keeps none.

        They ask for the newest known event once more: it may feed several topics, of which the break came between.

        Args:
            begins_after: number up to which no stream wants an event. The agent would tell of earlier ones as lost.
        """
        if self._boot_id is None or self._sequence is None:
            return {}
        after = max(self._sequence - 1, begins_after, 0)
        return {"replay_since": {"boot_id": self._boot_id, "sequence": after}}

    def subscribed(self, answer: object) -> int:
        """Note the answer to a new subscription, and return the number of the newest event before it."""
        boot_id, sequence = _position(answer)
        if boot_id is None or sequence is None:
            return 0
        if self._boot_id != boot_id or self._sequence is None:
            self._boot_id, self._sequence, self._of_topics = boot_id, sequence, {}
        return sequence

    def restored(self, answer: object) -> bool:
        """Note the answer to the subscription after a break; return True if the agent has started anew since.

        Then all that it has published so far follows.
        """
        boot_id, _ = _position(answer)
        if boot_id == self._boot_id:
            return False
        self._boot_id, self._sequence, self._of_topics = boot_id, 0, {}
        return True

    def lost(self, notice: Event) -> None:
        """Note `system.events_dropped`: the events up to its number do not come any more."""
        if notice.sequence is not None and self._sequence is not None:
            self._sequence = max(self._sequence, notice.sequence)

    def is_new(self, event: Event) -> bool:
        """Note `event` and return True if it was not received before; True for one without a number."""
        number = event.sequence
        if number is None:
            return True
        if number <= self._of_topics.get(event.topic, 0):
            return False
        self._of_topics[event.topic] = number
        if self._sequence is not None:
            self._sequence = max(self._sequence, number)
        return True


def _position(answer: object) -> tuple[str | None, int | None]:
    fields = answer if isinstance(answer, dict) else {}
    boot_id, sequence = fields.get("boot_id"), fields.get("sequence")
    if isinstance(boot_id, str) and type(sequence) is int:
        return boot_id, sequence
    return None, None
