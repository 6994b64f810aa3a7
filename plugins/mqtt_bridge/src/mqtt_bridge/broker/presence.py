"""Presence of the agent at the broker: its birth message and last will, and the sign of a second agent with its id.

A module of its own, as a broker may not say that it gave a connection to another client: Mosquitto before 2.0.12 just closes it.
"""

import secrets
from dataclasses import replace

from mqtt_bridge.broker.messages import Incoming, Outgoing

__all__ = ("Presence",)

#: User property of both messages: names the run that sent them.
_RUN = "run"


class Presence:
    """Messages of one run in the status topic.

    Attributes:
        birth: follows the retained state at each connection.
        farewell: the last will, and what the agent says when it ends.
    """

    def __init__(self, topic: str) -> None:
        self._run = secrets.token_hex(8)
        self._is_seen = False
        self._is_told = False
        properties = {_RUN: self._run}
        self.birth = Outgoing(topic, b"online", retain=True, properties=properties)
        self.farewell = Outgoing(topic, b"offline", retain=True, properties=properties)

    def begin(self) -> None:
        """Begin another connection, whose birth message is still to come."""
        self._is_told = False

    def is_contradicted(self, message: Incoming) -> bool:
        """Return True for a message of the status topic that others have sent after the birth of this connection.

        It may be the last will of an earlier connection that a broker sends late.
        """
        if message.payload == self.birth.payload:
            is_own = message.properties.get(_RUN) == self._run and not message.retained
            self._is_told = self._is_told or is_own
            return False
        return self._is_told

    def shows_rival(self, message: Incoming) -> bool:
        """Return True if a message of the status topic is another run's, after this run's own birth was seen there."""
        run = message.properties.get(_RUN)
        if run == self._run:
            self._is_seen = True
        return self._is_seen and run not in {None, self._run}

    def adapt(self, code: int | None) -> None:
        """Leave out of the last will what the broker has refused with a reason code."""
        if code == 0x9B:
            self.farewell = replace(self.farewell, qos=0)
        elif code == 0x9A:
            self.farewell = replace(self.farewell, retain=False)
