"""Calls that wait for their replies."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.client.calls import OutgoingCall, ReplyForm
from mqtt_bridge.client.errors import BrokerLost

__all__ = ("PendingCall", "PendingCalls")


@dataclass(slots=True)
class PendingCall:
    """Call on its way.

    Attributes:
        call: the call.
        forged: replies to it without a valid signature.
    """

    call: OutgoingCall
    forged: int = 0
    _reply: ReplyForm | None = None
    _ended: anyio.Event = field(default_factory=anyio.Event)

    async def reply(self) -> ReplyForm:
        """Wait for the reply. Raises BrokerLost if the connection ends before."""
        await self._ended.wait()
        if self._reply is None:
            raise BrokerLost("The connection to the MQTT broker has ended.")
        return self._reply

    def take(self, message: Incoming) -> None:
        """Take a message with the call's correlation data; the first valid one counts."""
        reply = self.call.accepted(message)
        if reply is None:
            self.forged += 1
        elif not self._ended.is_set():
            self._reply = reply
            self._ended.set()

    def lose(self) -> None:
        """End the wait: a reply would not arrive any more."""
        self._ended.set()


class PendingCalls:
    """Calls on their way, by correlation data. Late, repeated and foreign replies have none, and are ignored."""

    def __init__(self) -> None:
        self._calls: dict[bytes, PendingCall] = {}

    @contextmanager
    def waiting(self, call: OutgoingCall) -> Iterator[PendingCall]:
        """Accept replies to `call` while the context is open."""
        pending = self._calls[call.correlation] = PendingCall(call)
        try:
            yield pending
        finally:
            del self._calls[call.correlation]

    def take(self, message: Incoming) -> None:
        """Take a message for this client."""
        pending = self._calls.get(message.correlation or b"")
        if pending is not None:
            pending.take(message)

    def lose_all(self) -> None:
        """End all waits, because the connection has ended."""
        for each in self._calls.values():
            each.lose()
