"""State of the connection to the broker, for the agent's status and for the parts that show it."""

from dataclasses import dataclass

from mqtt_bridge.broker.reasons import BrokerProblem

__all__ = ("BrokerStatus",)


@dataclass(slots=True)
class BrokerStatus:
    """State as it is now; only the connection changes it.

    Attributes:
        is_connected: the broker has accepted the agent, and the connection has not ended.
        problem: why there is no connection; None while there is one, and before the first attempt has ended.
        connections: connections since the start.
        published: messages that the broker has taken.
        dropped: messages that were too large for the broker, or that it refused.
    """

    is_connected: bool = False
    problem: BrokerProblem | None = None
    connections: int = 0
    published: int = 0
    dropped: int = 0
