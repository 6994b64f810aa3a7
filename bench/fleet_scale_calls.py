"""One client of a fleet that calls each agent, signed, and checks the signatures of the replies."""

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiomqtt
import anyio
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent_core.plugin.sessions import SignedCall, call_signature, reply_signature
from bench.fleet_scale_meter import PREFIX
from bench.fleet_scale_stub import Box

__all__ = ("METHOD", "Replies", "call_all")

#: Method that each agent is called with.
METHOD = "get_camera_list"
_CLIENT = "desk"
_TOPIC = f"{PREFIX}/replies/{_CLIENT}"
#: Limit of all calls together, and the end of each.
_LIMIT_S, _END_S = 120.0, 30.0


@dataclass
class Replies:
    """Replies that have come.

    Attributes:
        good: replies with a result and the right signature.
        taken_s: time from the publication of each call to its reply.
        all_s: time of all calls together.
    """

    good: int = 0
    taken_s: list[float] = field(default_factory=list)
    all_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.good / self.all_s if self.all_s else 0.0


@dataclass
class _Desk:
    """Calls under way, by correlation data."""

    client: aiomqtt.Client
    calls: dict[bytes, tuple[Box, SignedCall, float]] = field(default_factory=dict)
    replies: Replies = field(default_factory=Replies)

    async def publish(self, box: Box, number: int) -> None:
        call = _signed(box, number)
        self.calls[call.correlation] = (box, call, time.perf_counter())
        await self.client.publish(
            f"{PREFIX}/{box.agent}/call",
            json.dumps(call.request),
            qos=1,
            properties=_properties(call),
            timeout=_LIMIT_S,
        )

    def take(self, payload: bytes, properties: Properties) -> None:
        told: Mapping[str, Any] = properties.json()  # type: ignore[no-untyped-call]
        box, call, began_s = self.calls.pop(bytes.fromhex(told["CorrelationData"]))
        self.replies.taken_s.append(time.perf_counter() - began_s)
        right = reply_signature(
            box.key, agent=box.agent, nonce=call.nonce, correlation=call.correlation, reply=payload
        )
        given = dict(told["UserProperty"]).get("signature")
        self.replies.good += given == right and "result" in json.loads(payload)


async def call_all(port: int, boxes: Iterable[Box]) -> Replies:
    """Call each agent once, all without waiting for the answers of others, and return what has come."""
    boxes = list(boxes)
    async with aiomqtt.Client(
        "127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, max_inflight_messages=100
    ) as client:
        await client.subscribe(_TOPIC, qos=1)
        desk, began_s = _Desk(client), time.perf_counter()
        with anyio.move_on_after(_LIMIT_S):
            async with anyio.create_task_group() as tasks:
                for number, box in enumerate(boxes):
                    tasks.start_soon(desk.publish, box, number)
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    assert message.properties is not None
                    desk.take(message.payload, message.properties)
                    if len(desk.replies.taken_s) == len(boxes):
                        break
        desk.replies.all_s = time.perf_counter() - began_s
        return desk.replies


def _signed(box: Box, number: int) -> SignedCall:
    now = datetime.now(UTC)
    issued_at, expires_at = (
        each.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for each in (now, now + timedelta(seconds=_END_S))
    )
    call = SignedCall(
        agent=box.agent,
        client=_CLIENT,
        key_id=box.key_id,
        request={"jsonrpc": "2.0", "id": number, "method": METHOD, "params": {}},
        response_topic=_TOPIC,
        correlation=secrets.token_bytes(16),
        issued_at=issued_at,
        expires_at=expires_at,
        nonce=secrets.token_hex(16),
        signature="",
    )
    return replace(call, signature=call_signature(box.key, call))


def _properties(call: SignedCall) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = call.response_topic
    properties.CorrelationData = call.correlation
    properties.ContentType = "application/json"
    properties.MessageExpiryInterval = int(_END_S)
    properties.UserProperty = [
        ("client", call.client),
        ("key", call.key_id),
        ("issued_at", call.issued_at),
        ("expires_at", call.expires_at),
        ("nonce", call.nonce),
        ("signature", call.signature),
    ]
    return properties
