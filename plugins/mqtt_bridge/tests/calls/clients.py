"""Clients that sign calls, and the messages that carry them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agent_core.plugin import SignedCall, call_signature
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.topics import reply_topic

__all__ = ("AGENT", "PREFIX", "Signer", "incoming", "properties_of")

PREFIX, AGENT = "camera-agent", "box"
KEY = "mk_" + "k" * 43


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Signer:
    """Client with a key; `key_id` is that of the key."""

    client: str = "c1"
    key: str = field(default=KEY, repr=False)
    key_id: str = "0123456789abcdef"

    def call(
        self,
        now: datetime,
        method: str = "ping",
        *,
        id: Any = 1,  # noqa: A002 - the wire's name
        params: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> SignedCall:
        """Return a call signed at `now`; `changes` are made before."""
        request: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method, "params": dict(params or {})}
        call = SignedCall(
            agent=AGENT,
            client=self.client,
            key_id=self.key_id,
            request=request,
            response_topic=reply_topic(PREFIX, self.client),
            correlation=secrets.token_bytes(8),
            issued_at=rfc3339(now),
            expires_at=rfc3339(now + timedelta(seconds=20)),
            nonce=secrets.token_hex(16),
            signature="",
        )
        call = replace(call, **changes)
        return replace(call, signature=call_signature(self.key, call))


def properties_of(call: SignedCall) -> dict[str, str]:
    return {
        "client": call.client,
        "key": call.key_id,
        "issued_at": call.issued_at,
        "expires_at": call.expires_at,
        "nonce": call.nonce,
        "signature": call.signature,
    }


def incoming(call: SignedCall, payload: bytes, **changes: Any) -> Incoming:
    message = Incoming(
        topic=f"{PREFIX}/{AGENT}/call",
        payload=payload,
        retained=False,
        properties=properties_of(call),
        correlation=call.correlation,
        response_topic=call.response_topic,
        content_type="application/json",
    )
    return replace(message, **changes)
