"""Messages to and from the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ("Incoming", "Outgoing", "Subscription")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Message to publish.

    Attributes:
        topic: topic without wildcards.
        payload: content; empty with `retain` clears the topic.
        qos: 0 or 1.
        retain: the broker keeps it for later subscribers.
        content_type: MIME type; empty for none.
        properties: user properties, each name once.
        expiry_s: time after which the broker discards it undelivered; None for never.
        correlation: correlation data of a reply; None for none.
        response_topic: place for a reply; empty for none.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    expiry_s: int | None = None
    correlation: bytes | None = None
    response_topic: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Message from the broker, with valid UTF-8 in its texts; nothing else in it can be trusted.

    `properties` has the last of user properties with one name; `retained` is true if the broker had kept the message.
    """

    topic: str
    payload: bytes
    retained: bool
    properties: Mapping[str, str]
    correlation: bytes | None
    response_topic: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """Filter to subscribe to with QoS 1.

    Attributes:
        filter: topic, with wildcards.
        kept: only what the broker has kept from earlier, the agent's own included, is of interest. The subscription is
            made once in a run, and ends soon after. Without it, own messages never come back (`no local`).
        as_published: a message that was published to be kept arrives as `retained` also while the agent listens.
            Otherwise only the copy that the broker had kept does.
    """

    filter: str
    kept: bool = False
    as_published: bool = False
