"""Agents that a test plays at a real broker: with retained state, and answers to signed calls as the test wants them."""

import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import anyio
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent_core.plugin import SignedCall, call_signature, reply_signature
from mqtt_bridge.client import agent_key

from .broker_process import BrokerProcess

__all__ = ("FLEET_KEY", "Box", "Received", "running_box")

FLEET_KEY = "fk_" + "f" * 43
PREFIX = "camera-agent"


@dataclass(frozen=True)
class Received:
    """Call as it came, and its answer by any means."""

    box: "Box"
    request: Mapping[str, Any]
    properties: Mapping[str, str]
    response_topic: str
    correlation: bytes
    expiry_s: int

    @property
    def is_signed(self) -> bool:
        """True if the call is signed with the box's key."""
        given = self.properties
        call = SignedCall(
            self.box.id,
            given["client"],
            given["key"],
            self.request,
            self.response_topic,
            self.correlation,
            given["issued_at"],
            given["expires_at"],
            given["nonce"],
            "",
        )
        return call_signature(self.box.key, call) == given["signature"]

    async def reply(self, reply: Mapping[str, Any] | bytes, **changes: Any) -> None:
        """Send a signed reply; `changes` replace parts of it: `topic`, `correlation`, `signature`, `nonce`."""
        payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        correlation = changes.get("correlation", self.correlation)
        signature = reply_signature(
            self.box.key,
            agent=self.box.id,
            nonce=changes.get("nonce", self.properties["nonce"]),
            correlation=correlation,
            reply=payload,
        )
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = correlation
        properties.UserProperty = [
            ("agent", self.box.id),
            ("signature", changes.get("signature", signature)),
        ]
        topic = changes.get("topic", self.response_topic)
        await self.box.client.publish(topic, payload, qos=1, properties=properties)

    async def result(self, value: Any) -> None:
        await self.reply({"jsonrpc": "2.0", "id": self.request["id"], "result": value})

    async def error(self, code: int, message: str, **data: Any) -> None:
        error = {"code": code, "message": message, "data": data}
        await self.reply({"jsonrpc": "2.0", "id": self.request["id"], "error": error})


Answerer = Callable[[Received], Awaitable[None]]


@dataclass
class Box:
    """Agent under the test's control."""

    id: str
    client: aiomqtt.Client
    calls: list[Received] = field(default_factory=list)
    _arrived: anyio.Event = field(default_factory=anyio.Event)

    @property
    def key(self) -> str:
        return agent_key(FLEET_KEY, self.id)

    async def keep(self, topic: str, value: Any, *, retain: bool = True) -> None:
        """Publish below the box's topics."""
        payload = value if isinstance(value, str | bytes) else json.dumps(value)
        await self.client.publish(f"{PREFIX}/{self.id}/{topic}", payload, qos=1, retain=retain)

    async def event(self, topic: str, sequence: int, *, boot_id: str = "boot", **params: Any) -> None:
        value = {"boot_id": boot_id, "sequence": sequence, "topic": topic, "params": params}
        await self.keep(f"events/{topic}", value, retain=False)

    async def wait_calls(self, count: int) -> None:
        with anyio.fail_after(20):
            while len(self.calls) < count:
                await self._arrived.wait()

    async def answer(self, answerer: Answerer) -> None:
        with suppress(aiomqtt.MqttError):  # the test has killed the broker
            await self._answer_all(answerer)

    async def _answer_all(self, answerer: Answerer) -> None:
        async for message in self.client.messages:
            found: Any = message.properties
            received = Received(
                self,
                json.loads(bytes(message.payload)),
                dict(found.UserProperty),
                found.ResponseTopic,
                found.CorrelationData,
                found.MessageExpiryInterval,
            )
            self.calls.append(received)
            self._arrived.set()
            self._arrived = anyio.Event()
            await answerer(received)


async def echo(call: Received) -> None:
    await call.result({"method": call.request["method"], "params": call.request["params"]})


@asynccontextmanager
async def running_box(
    broker: BrokerProcess,
    agent: str,
    answerer: Answerer = echo,
    *,
    labels: Mapping[str, str] | None = None,
    limits: Mapping[str, Any] | None = None,
    takes_calls: bool = True,
) -> AsyncIterator[Box]:
    """Play an agent while the context is open; its state stays at the broker."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        identifier=f"box-{hashlib.sha256(agent.encode()).hexdigest()[:8]}",
        clean_start=True,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        will=aiomqtt.Will(f"{PREFIX}/{agent}/status", "offline", 1, True),
    ) as client:
        box = Box(agent, client)
        if takes_calls:
            await client.subscribe(f"{PREFIX}/{agent}/call", qos=1)
        state: dict[str, Any] = {
            "agent": agent,
            "name": f"The {agent}",
            "version": "0.1.0",
            "boot_id": "boot",
        }
        state |= {"labels": dict(labels or {}), "limits": {"calls": True, **(limits or {})}}
        await box.keep("state/agent", state)
        await box.keep("status", "online")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(box.answer, answerer)
            yield box
            tasks.cancel_scope.cancel()
        with suppress(aiomqtt.MqttError):
            await box.keep("status", "offline")
