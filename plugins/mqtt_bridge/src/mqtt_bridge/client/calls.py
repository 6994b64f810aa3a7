"""Signed calls and the check of their replies. Without I/O."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from agent_core.plugin import AgentError, SignedCall, call_signature, reply_signature
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.client.errors import CallFailed, ClockRefused, RequestUnusable
from mqtt_bridge.client.keys import key_id
from mqtt_bridge.topics import AgentTopics, reply_topic

__all__ = ("CALL_LIFETIME_S", "OutgoingCall", "ReplyForm")

#: Longest time between the issue and the end of a call.
CALL_LIFETIME_S = 30.0
_CLOCK_REASONS = frozenset({"call_expired", "call_from_future"})
_NONCE_BYTES, _CORRELATION_BYTES = 16, 16


class _Error(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    code: int
    message: str
    data: dict[str, JsonValue] = {}


class ReplyForm(BaseModel):
    """JSON-RPC reply to one request."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: int | str | None
    result: JsonValue = None
    error: _Error | None = None

    def value(self) -> JsonValue:
        """Return the result. Raises CallFailed for an error."""
        if self.error is None:
            return self.result
        kind = ClockRefused if self.error.data.get("reason") in _CLOCK_REASONS else CallFailed
        raise kind(self.error.code, self.error.message, self.error.data)


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """Signed call of one agent, and what its reply must have."""

    call: SignedCall
    payload: bytes
    topic: str
    lifetime_s: float
    _key: str = field(repr=False)

    @classmethod
    def sign(
        cls,
        topics: AgentTopics,
        client: str,
        key: str,
        method: str,
        params: Mapping[str, JsonValue],
        *,
        now: datetime,
        lifetime_s: float,
    ) -> "OutgoingCall":
        """Make and sign a call.

        Args:
            topics: topics of the agent that is called.
            client: name of the caller at the broker.
            key: key that the agent has.
            method: the method.
            params: its parameters.
            now: time of issue.
            lifetime_s: time within which the agent must begin with the call; at most `CALL_LIFETIME_S`.

        Raises:
            RequestUnusable: the parameters have no canonical form.
        """
        lifetime_s = min(lifetime_s, CALL_LIFETIME_S)
        request: dict[str, JsonValue] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        call = SignedCall(
            topics.agent,
            client,
            key_id(key),
            request,
            reply_topic(topics.prefix, client),
            secrets.token_bytes(_CORRELATION_BYTES),
            _rfc3339(now),
            _rfc3339(now + timedelta(seconds=lifetime_s)),
            secrets.token_urlsafe(_NONCE_BYTES),
            "",
        )
        try:
            signature = call_signature(key, call)
            payload = json.dumps(request, allow_nan=False).encode()
        except (AgentError, ValueError, RecursionError) as error:
            raise RequestUnusable(f"The call of {method} cannot be signed: {error}") from error
        signed = replace(call, signature=signature)
        return cls(signed, payload, topics.calls, lifetime_s, key)

    @property
    def correlation(self) -> bytes:
        return self.call.correlation

    def message(self) -> Outgoing:
        """Return the message to publish."""
        return Outgoing(
            self.topic,
            self.payload,
            content_type="application/json",
            properties={
                "client": self.call.client,
                "key": self.call.key_id,
                "issued_at": self.call.issued_at,
                "expires_at": self.call.expires_at,
                "nonce": self.call.nonce,
                "signature": self.call.signature,
            },
            expiry_s=max(1, round(self.lifetime_s)),
            correlation=self.correlation,
            response_topic=self.call.response_topic,
        )

    def accepted(self, message: Incoming) -> ReplyForm | None:
        """Return the reply in a message; None if it does not come from the agent, or does not answer this call."""
        wanted = reply_signature(
            self._key,
            agent=self.call.agent,
            nonce=self.call.nonce,
            correlation=self.correlation,
            reply=message.payload,
        )
        given = message.properties.get("signature", "")
        if message.retained or not hmac.compare_digest(wanted.encode(), given.encode()):
            return None
        try:
            reply = ReplyForm.model_validate_json(message.payload)
        except ValidationError:
            return None
        return reply if reply.id == self.call.request["id"] else None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
