"""Place in the agent's sequence of events that the bridge has reached. Without I/O."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue

from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent

__all__ = ("AgentPlace", "Subscribed")


class Subscribed(BaseModel):
    """Answer of `subscribe_events`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    boot_id: str
    sequence: int


class _Numbered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sequence: int


class _Dropped(_Numbered):
    count: int
    reason: str
    boot_id: str
    after: int


class AgentPlace:
    """Place of the bridge in the events of one start of the agent.

    Until `subscribed`, and again after a notice that the journal may fill, no event is accepted: what comes then comes
    again in the replay, in its order.

    Attributes:
        boot_id: start of the agent; empty while unknown.
        is_stale: True while the events have to be requested again, from `request` on.
    """

    def __init__(self) -> None:
        self.boot_id = ""
        self._sequence = 0
        self._topics: set[str] = set()
        self.is_stale = True

    def request(self, newest: Subscribed | None) -> Mapping[str, JsonValue]:
        """Return `replay_since` for the next `subscribe_events`.

        It asks for the newest known event once more: it may feed several topics, of which the break came between.

        Args:
            newest: latest answer to a subscription of this session, or None if it has none. The first place is at the beginning of
                its start, so that the agent's first events are not missed.
        """
        if newest is not None and newest.boot_id != self.boot_id:
            self.boot_id, self._sequence, self._topics = newest.boot_id, 0, set()
        return {"boot_id": self.boot_id, "sequence": max(self._sequence - 1, 0)}

    def subscribed(self) -> None:
        """Accept what comes from now on: the answer to the request has arrived."""
        self.is_stale = False

    def broken(self) -> None:
        """Accept nothing until the next answer: the session has ended."""
        self.is_stale = True

    def accept(self, topic: str, params: Mapping[str, JsonValue]) -> AgentEvent | None:
        """Return the event of a notification if it is new; None if it was there before, or comes again."""
        if self.is_stale:
            return None
        if topic == EVENTS_DROPPED:
            return self._accept_notice(_Dropped.model_validate(params), params)
        sequence = _Numbered.model_validate(params).sequence
        if sequence < self._sequence or (sequence == self._sequence and topic in self._topics):
            return None
        self._move(sequence)
        self._topics.add(topic)
        return AgentEvent(topic, self.boot_id, sequence, params)

    def _accept_notice(self, notice: _Dropped, params: Mapping[str, JsonValue]) -> AgentEvent | None:
        if notice.reason == "slow_reader":
            self.is_stale = True
            return None
        if notice.boot_id != self.boot_id:
            self.boot_id, self._sequence, self._topics = notice.boot_id, 0, set()
        if notice.reason == "unknown_sequence":
            self._sequence, self._topics = 0, set()
        after = max(notice.after, self._sequence)
        count = min(notice.count, notice.sequence - after)
        if count <= 0:
            return None
        self._move(notice.sequence)
        return AgentEvent(
            EVENTS_DROPPED, self.boot_id, notice.sequence, {**params, "after": after, "count": count}
        )

    def _move(self, sequence: int) -> None:
        if sequence > self._sequence:
            self._sequence, self._topics = sequence, set()
