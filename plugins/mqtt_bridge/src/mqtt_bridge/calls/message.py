"""Messages that ask for a call, read without trust. Apart from the desk, so that it is tested without a broker."""

import json
import math
import re
from typing import NoReturn

from pydantic import JsonValue

from agent_core.plugin import SignedCall
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.topics import reply_topic

__all__ = ("NoCall", "cost_of", "signed_call")

_CLIENT = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
#: Longest time or nonce; each form is checked after the signature.
_MOST_CHARS = 64
_MOST_CORRELATION_BYTES = 64
_TYPES = ("", "application/json")
#: Nesting that the agent accepts, and less than its parser stands.
_MOST_LEVELS = 64
#: Values in a request, as on the agent's port before a client has authenticated.
_MOST_VALUES = 1000
#: Bytes, and values, that cost as much time as a small call: 0.15 ms on a slow PC.
_BYTES_OF_UNIT, _VALUES_OF_UNIT = 2048, 32


class NoCall(Exception):
    """Message that is no call. Its sender gets no reply, as nothing proves who that is; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def cost_of(message: Incoming) -> float:
    """Return how much time the check of a message takes, in units of a small call, without looking far into it."""
    return 1 + len(message.payload) / _BYTES_OF_UNIT + _values(message.payload) / _VALUES_OF_UNIT


def _values(payload: bytes) -> int:
    """Return the number of values in JSON, or a higher one if there are commas or brackets in texts."""
    return payload.count(b",") + payload.count(b"[") + payload.count(b"{") + 1


def signed_call(message: Incoming, *, prefix: str, agent: str, most_bytes: int) -> SignedCall:
    """Return the call that a message asks for; nothing in it is proven yet.

    Args:
        message: the message.
        prefix: prefix of all topics.
        agent: id of this agent.
        most_bytes: largest request.

    Raises:
        NoCall: the message is none.
    """
    if message.retained:
        raise NoCall("retained")
    if len(message.payload) > most_bytes:
        raise NoCall("too_large")
    if message.content_type not in _TYPES:
        raise NoCall("content_type")
    given = message.properties
    client, key_id, signature = (given.get(name, "") for name in ("client", "key", "signature"))
    times = issued_at, expires_at, nonce = tuple(
        given.get(name, "") for name in ("issued_at", "expires_at", "nonce")
    )
    if not (_CLIENT.fullmatch(client) and _KEY_ID.fullmatch(key_id) and _SIGNATURE.fullmatch(signature)):
        raise NoCall("properties")
    if not all(0 < len(each) <= _MOST_CHARS for each in times):
        raise NoCall("properties")
    if message.response_topic != reply_topic(prefix, client):
        raise NoCall("response_topic")
    correlation = message.correlation or b""
    if not 0 < len(correlation) <= _MOST_CORRELATION_BYTES:
        raise NoCall("correlation")
    return SignedCall(
        agent=agent,
        client=client,
        key_id=key_id,
        request=_request(message.payload),
        response_topic=message.response_topic,
        correlation=correlation,
        issued_at=issued_at,
        expires_at=expires_at,
        nonce=nonce,
        signature=signature,
    )


def _request(payload: bytes) -> dict[str, JsonValue]:
    """Return a single request with an id. Raises NoCall."""
    if _values(payload) > _MOST_VALUES:
        raise NoCall("too_large")
    try:
        found = _DECODER.decode(payload.decode())
    except (ValueError, RecursionError) as error:  # of which undecodable bytes are one
        raise NoCall("json") from error
    if not isinstance(found, dict) or isinstance(found.get("id"), bool):
        raise NoCall("request")
    if not isinstance(found.get("id"), str | int) or not isinstance(found.get("method"), str):
        raise NoCall("request")
    if _levels(found) > _MOST_LEVELS:
        raise NoCall("json")
    return found


def _levels(value: JsonValue) -> int:
    """Return how deeply a value nests, or one more than is allowed."""
    level, below = 0, [value]
    while below and level <= _MOST_LEVELS:
        held = [each for each in below if isinstance(each, dict | list)]
        below = [inner for each in held for inner in (each.values() if isinstance(each, dict) else each)]
        level += bool(held)
    return level


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
