"""Reasons for which there is no connection to the broker, in words for the operator."""

import ssl
from dataclasses import dataclass
from typing import Final

__all__ = (
    "TAKEN_OVER",
    "TAKEN_OVER_CODE",
    "BrokerProblem",
    "broken",
    "disconnected",
    "misbehaving",
    "refused",
    "refused_topic",
    "silent",
)

#: Word of the problem that another client uses the same id.
TAKEN_OVER: Final = "mqtt_taken_over"
#: Reason code with which a broker may say so.
TAKEN_OVER_CODE: Final = 0x8E

_CHECK_ACCESS = "Check user and password_file in [plugins.mqtt_bridge], and the broker's list of users."


@dataclass(frozen=True, slots=True)
class BrokerProblem:
    """Problem with the broker.

    Attributes:
        reason: stable word, such as `mqtt_refused`; equal for problems that are logged only once.
        details: sentence.
        suggestion: next step.
        code: MQTT 5 reason code; None if the broker has given none.
    """

    reason: str
    details: str
    suggestion: str
    code: int | None = None


#: What the broker says about a connection, by reason code: the end of "The broker ...", and the next step.
_CODES: Final[dict[int, tuple[str, str]]] = {
    0x80: ("gives no reason", "See the broker's log."),
    0x81: (
        "calls a packet of this client malformed",
        "See the broker's log, and report this with its make and version.",
    ),
    0x82: (
        "reports a protocol error of this client",
        "See the broker's log, and report this with its make and version.",
    ),
    0x83: ("gives a reason of its own make", "See the broker's log."),
    0x84: (
        "does not speak MQTT 5",
        "Use a broker with MQTT 5, such as Mosquitto 2, and enable that version in it.",
    ),
    0x85: (
        "does not accept the client identifier",
        "Set another agent_id in [plugins.mqtt_bridge].",
    ),
    0x86: ("does not know the user, or the password is wrong", _CHECK_ACCESS),
    0x87: ("does not authorise this client", _CHECK_ACCESS),
    0x88: ("is not available", "Wait, or see the broker's log."),
    0x89: ("is busy", "Wait, or see the broker's log."),
    0x8A: ("has banned this client", "See the broker's list of banned clients."),
    0x8B: ("shuts down", "Wait until it runs again."),
    0x8C: ("asks for an authentication method that this client does not have", _CHECK_ACCESS),
    0x8D: ("has not heard from this client in time", "Check the network, or set a shorter keep_alive_s."),
    0x8E: (
        "has given the connection to another client with the same id",
        "Give each agent an id of its own: set agent_id, or delete mqtt_bridge_agent.json in a copied state folder.",
    ),
    0x8F: ("does not accept a topic filter of this client", "Check the broker's rules for topics."),
    0x90: (
        "does not accept a topic of this client",
        "Check prefix in [plugins.mqtt_bridge], and the broker's rules.",
    ),
    0x93: ("received more messages at once than it announced", "See the broker's log."),
    0x94: ("reports an invalid topic alias", "See the broker's log."),
    0x95: ("calls a packet too large", "Allow larger packets in the broker, or make pictures smaller."),
    0x96: (
        "calls the rate of messages too high",
        "Raise the intervals in [plugins.mqtt_bridge], or the broker's limit.",
    ),
    0x97: ("says that a quota is exceeded", "Raise the broker's quota for this client."),
    0x98: ("has closed the connection by an administrator's action", "Ask the broker's administrator."),
    0x99: ("does not accept the format of a payload", "See the broker's log."),
    0x9A: ("does not keep retained messages", "Allow retained messages in the broker."),
    0x9B: ("does not support the quality of service", "Allow QoS 1 in the broker."),
    0x9C: ("refers to another server", "Set url in [plugins.mqtt_bridge] to that server."),
    0x9D: ("has moved", "Set url in [plugins.mqtt_bridge] to the new server."),
    0x9E: ("does not support shared subscriptions", "See the broker's log."),
    0x9F: ("limits the rate of connections", "Wait; pauses between attempts grow."),
    0xA0: ("limits the time of a connection", "Raise the broker's limit."),
    0xA1: ("does not support subscription identifiers", "See the broker's log."),
    0xA2: ("does not support wildcards in subscriptions", "Use a broker that does."),
}


def _words(code: int) -> tuple[str, str]:
    return _CODES.get(code, (f"gives the unknown reason code {code}", "See the broker's log."))


def refused(code: int) -> BrokerProblem:
    """Return the problem of a CONNACK with a reason code."""
    words, suggestion = _words(code)
    return BrokerProblem(
        "mqtt_refused", f"The MQTT broker refuses the connection: it {words}.", suggestion, code
    )


def disconnected(code: int) -> BrokerProblem:
    """Return the problem of a DISCONNECT with a reason code."""
    if code < 0x80:
        return BrokerProblem(
            "mqtt_closed", "The MQTT broker has closed the connection.", "See its log.", code
        )
    words, suggestion = _words(code)
    reason = TAKEN_OVER if code == TAKEN_OVER_CODE else "mqtt_disconnected"
    return BrokerProblem(reason, f"The MQTT broker has ended the connection: it {words}.", suggestion, code)


def refused_topic(code: int) -> str:
    """Return the end of a sentence `The broker ...` about a message or subscription with this reason code."""
    if code == 0x87:
        return "does not authorise it; allow it in the broker's access list"
    return _words(code)[0]


def misbehaving(words: str) -> BrokerProblem:
    """Return the problem of a broker that breaks the protocol; `words` end a sentence `The MQTT broker ...`."""
    return BrokerProblem(
        "mqtt_malformed",
        f"The MQTT broker {words}.",
        "Check that url in [plugins.mqtt_bridge] is the address of an MQTT 5 broker.",
    )


def silent() -> BrokerProblem:
    """Return the problem of a broker that does not answer a ping."""
    return BrokerProblem(
        "mqtt_silent", "The MQTT broker does not answer any more.", "Check the network and the broker."
    )


def broken(error: OSError | None) -> BrokerProblem:
    """Return the problem of a connection that ended without a word of the broker; `error` is that of the socket."""
    if isinstance(error, ssl.SSLError):
        alert = (error.reason or "TLS error").lower().replace("_", " ")
        return BrokerProblem(
            "mqtt_tls",
            f"The MQTT broker ends the TLS connection: {alert}.",
            "Check certificate_file and key_file in [plugins.mqtt_bridge.tls], and the broker's log.",
        )
    return BrokerProblem(
        "mqtt_closed",
        "The MQTT broker has closed the connection, or the network has.",
        "Check that the broker runs; if it closes each connection, check its log, and if the port needs mqtts://.",
    )
