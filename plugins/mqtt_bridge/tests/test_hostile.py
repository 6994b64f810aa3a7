"""Brokers that break the protocol: each ends its connection at most, and fills neither memory nor log."""

import logging
import resource
import socket
from pathlib import Path

import anyio
import pytest
from anyio.abc import UNIXSocketStream

from agent_core.testing import responsive
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.client import BrokerClient, ClientOptions
from mqtt_bridge.broker.messages import Outgoing

from .bridges import BridgeUnderTest, ScriptedPart, running_bridge, warnings_of, with_parts
from .hostile import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBLISH,
    SUBSCRIBE,
    Conversation,
    accept,
    connack,
    disconnect,
    hostile_broker,
    packet,
    puback,
    publish,
    suback,
    text,
    user_property,
    variable,
)

CALLS = "camera-agent/box/call"


async def reason_of(running: BridgeUnderTest) -> str:
    async def look() -> str | None:
        found = running.component.problem
        return None if found is None else f"{found.reason}: {found.details}"

    return await eventually(
        look, timeout_s=60
    )  # a flood is read in turns, which take time on a loaded machine


#: Packets that end the connection, by what is wrong with them.
WRONG = {
    "unknown packet type": packet(15, b""),
    "reserved packet type": b"\x00\x00",
    "a client's packet": packet(CONNECT, b""),
    "second answer": connack(),
    "length without end": b"\x30\xff\xff\xff\xff\x7f",
    "huge length": b"\x30\xff\xff\xff\x7f",
    "long packet without a message": packet(9, b"\0" * 9000),
    "quality of service 2": publish(CALLS, qos=2),
    "quality of service 3": publish(CALLS, qos=3),
    "no topic": publish("", b"x"),
    "topic with invalid UTF-8": publish(b"\xff\xfe", b"x"),
    "topic alias that was not allowed": publish("", b"x", properties=b"\x23\x00\x01"),
    "properties longer than the packet": packet(PUBLISH, text(CALLS) + b"\x7f"),
    "topic longer than the packet": packet(PUBLISH, b"\xff\xffx"),
    "unknown property": publish(CALLS, properties=b"\x7f\x00"),
    "property of another packet": publish(CALLS, properties=b"\x11\0\0\0\1"),
    "property twice": publish(CALLS, properties=b"\x02\0\0\0\1\x02\0\0\0\1"),
    "property with invalid UTF-8": publish(CALLS, properties=user_property(b"\xff\xfe", b"1")),
    "property with a null": publish(CALLS, properties=user_property("a\0b", "1")),
    "truncated property": publish(CALLS, properties=b"\x26\x00\x05ab"),
    "acknowledgement without a number": packet(4, b"\1"),
    "pong with a body": packet(13, b"\1"),
    "subscription answer without a number": packet(9, b"\0"),
    "empty disconnect with a wrong code": packet(DISCONNECT, b"\x01\x00"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_breaks_the_protocol_ends_the_connection(
    tmp_path: Path, wrong: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    part = ScriptedPart(CALLS)
    async with hostile_broker(accept(wrong)) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)) as running:
            assert (await reason_of(running)).startswith(
                ("mqtt_malformed: ", "mqtt_disconnected: ", "mqtt_closed: ")
            )
    assert not part.messages
    assert len(warnings_of(caplog)) == 1


#: Packets that change nothing.
ODD = {
    "acknowledgement of nothing": puback(4711),
    "refusal of nothing": puback(4711, 0x87),
    "subscription answer to nothing": suback(4711, b"\x87"),
    "unsubscription answer to nothing": packet(11, b"\x12\x34\0\x11"),
    "pong without a ping": packet(13, b""),
    "ping": packet(PINGREQ, b""),
    "message of another topic": publish("elsewhere", b"x"),
    "message of the broker's own": publish("$SYS/uptime", b"1"),
    "topic with wildcards": publish("camera-agent/+/#", b"x"),
    "topic with nulls": publish("a\0b", b"x"),
    "long topic": publish("a/" * 30_000, b"x"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_what_is_odd_changes_nothing(
    tmp_path: Path, odd: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    part = ScriptedPart(CALLS)
    async with hostile_broker(accept(odd * 50, publish(CALLS, b"after"))) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)):
            assert [each.payload for each in await part.wait_messages(1)] == [b"after"]
    assert broker.clients == 1
    assert not warnings_of(caplog)


async def test_too_many_properties_are_left_out_with_their_message(tmp_path: Path) -> None:
    part, many = ScriptedPart(CALLS), user_property("a", "b") * 20_000
    messages = (
        publish(CALLS, b"x", qos=1, properties=many, number=7) * 5,
        publish(CALLS, b"after", qos=1, number=8),
    )
    async with hostile_broker(accept(*messages)) as broker, responsive(1.0):
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)):
            received = await part.wait_messages(6)
    assert [(each.payload, dict(each.properties)) for each in received] == [(b"", {})] * 5 + [(b"after", {})]
    assert broker.clients == 1


async def test_a_flood_of_messages_neither_stops_the_agent_nor_grows_it() -> None:
    # Not over TCP: with buffers as small as this needs, the kernel discards segments, and both ends wait for each other.
    raw, far = socket.socketpair()
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = BrokerClient(raw, ClientOptions("box", 600, 100_000, None), lambda _: None)
    # Nothing is read: the acknowledgements find no taker.
    block = publish(CALLS, b"x" * 50_000, qos=1) + publish(CALLS, b"", qos=1) * 5000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        async with await UNIXSocketStream.from_socket(far) as broker, responsive(1.0):
            await broker.send(connack())
            await client.open()
            async with anyio.create_task_group() as tasks:

                async def flood() -> None:
                    while True:
                        await broker.send(block)

                tasks.start_soon(flood)
                problem = await client.run()
                tasks.cancel_scope.cancel()
    finally:
        client.close()
    assert "takes no answer" in problem.details
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


async def test_a_broker_that_does_not_answer_a_subscription_is_left(tmp_path: Path) -> None:
    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack())
        await client.read_kind(SUBSCRIBE)
        await client.answer()

    async with hostile_broker(script) as broker:
        async with running_bridge(
            tmp_path, url=broker.url, parts=with_parts(ScriptedPart(CALLS)), connect_timeout_s=1
        ) as running:
            assert "does not answer the agent's SUBSCRIBE" in await reason_of(running)


async def test_bytes_without_end_are_no_packet(tmp_path: Path) -> None:
    async def script(client: Conversation) -> None:
        await client.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100_000)
        await client.answer()

    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts()) as running:
            assert (await reason_of(running)).startswith("mqtt_malformed: ")


@pytest.mark.parametrize(
    ("rest", "told"),
    [(disconnect(0x8B), "shuts down"), (b"\x00\x00", "not MQTT 5"), (b"\xf0\x00", "not MQTT 5")],
)
async def test_a_connection_that_ends_with_its_acceptance_is_made_again(
    tmp_path: Path, rest: bytes, told: str
) -> None:
    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack() + rest)
        await client.answer()

    async def has_come_again() -> bool:
        return broker.clients > 1

    async with hostile_broker(script) as broker:
        async with running_bridge(
            tmp_path, url=broker.url, parts=with_parts(), reconnect_spread_s=0.5
        ) as running:
            assert told in await reason_of(running)
            await eventually(has_come_again)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (0x84, "does not speak MQTT 5"),
        (0x86, "does not know the user, or the password is wrong"),
        (0x87, "does not authorise this client"),
        (0x8A, "has banned this client"),
        (0x97, "a quota is exceeded"),
        (0x9D, "has moved"),
        (0x01, "does not speak MQTT 5"),
    ],
)
async def test_refusals_are_told_in_words(tmp_path: Path, code: int, told: str) -> None:
    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack(code))
        await client.answer()

    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts()) as running:
            reason = await reason_of(running)
    assert reason.startswith("mqtt_refused: The MQTT broker refuses the connection: it ")
    assert told in reason


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (0x00, "mqtt_closed: The MQTT broker has closed the connection."),
        (
            0x87,
            "mqtt_disconnected: The MQTT broker has ended the connection: it does not authorise this client.",
        ),
        (0x8B, "mqtt_disconnected: The MQTT broker has ended the connection: it shuts down."),
        (
            0x8E,
            "mqtt_taken_over: The MQTT broker has ended the connection: it has given the connection to another",
        ),
        (
            0x97,
            "mqtt_disconnected: The MQTT broker has ended the connection: it says that a quota is exceeded.",
        ),
    ],
)
async def test_ends_are_told_in_words_but_not_in_those_of_the_broker(
    tmp_path: Path, code: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hostile_broker(accept(disconnect(code, "line\nwith a forged entry"))) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts()) as running:
            assert (await reason_of(running)).startswith(told)
    assert "forged" not in caplog.text


async def test_a_broker_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def script(client: Conversation) -> None:
        while True:
            await client.read()

    async with hostile_broker(script) as broker:
        async with running_bridge(
            tmp_path, url=broker.url, parts=with_parts(), connect_timeout_s=0.3
        ) as running:
            assert "does not answer the CONNECT packet in time" in await reason_of(running)
            await eventually(lambda: left(broker.clients, broker.ended))


async def left(clients: int, ended: int) -> bool:
    return clients >= 1 and ended >= 1


async def test_tls_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async def script(client: Conversation) -> None:
        while True:
            await client.stream.receive()

    async with hostile_broker(script) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        async with running_bridge(tmp_path, url=url, parts=with_parts(), connect_timeout_s=0.3) as running:
            assert "does not answer in time" in await reason_of(running)


@pytest.mark.parametrize("moment", ["tcp", "connack"])
async def test_the_end_does_not_wait_for_a_broker_that_says_nothing(tmp_path: Path, moment: str) -> None:
    begun = anyio.Event()

    async def script(client: Conversation) -> None:
        if moment == "connack":
            await client.read_kind(CONNECT)
        begun.set()
        await anyio.sleep_forever()

    async with hostile_broker(script) as broker:
        url = broker.url if moment == "connack" else broker.url.replace("mqtt:", "mqtts:")
        with anyio.fail_after(30):
            async with running_bridge(tmp_path, url=url, parts=with_parts(), connect_timeout_s=120):
                await begun.wait()


async def test_small_limits_of_a_broker_are_kept(tmp_path: Path) -> None:
    limits = b"\x24\x00" + b"\x25\x00" + b"\x21\x00\x01" + b"\x27" + (200).to_bytes(4)
    sent: list[tuple[int, bytes]] = []

    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack(properties=limits))
        while True:
            first, body = await client.read()
            sent.append((first, body))
            if first >> 4 == 8:
                await client.send(suback(int.from_bytes(body[:2]), b"\0\0\0"))

    part = ScriptedPart(CALLS)
    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)) as running:
            publisher = await part.wait_online()
            await publisher.publish(Outgoing("t", b"x" * 1000))
            await publisher.publish(
                Outgoing(
                    "t", b"1", retain=True, content_type="text/plain", correlation=b"c", properties={"a": "b"}
                )
            )
            assert running.bridge.status.dropped == 1
    published = [(first, body) for first, body in sent if first >> 4 == PUBLISH]
    assert all(first == PUBLISH << 4 for first, _ in published), "with QoS or retained"
    assert all(len(body) <= 198 for _, body in published)
    (body,) = (body for _, body in published if body.startswith(text("t")))
    assert text("text/plain") in body
    assert user_property("a", "b") in body


async def test_no_more_is_on_its_way_than_a_broker_allows(tmp_path: Path) -> None:
    waiting: list[int] = []
    most = 0

    async def script(client: Conversation) -> None:
        nonlocal most
        await client.read_kind(CONNECT)
        await client.send(connack(properties=b"\x21\x00\x02"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(acknowledge, client)
            while True:
                first, body = await client.read()
                if first >> 4 == 8:
                    await client.send(suback(int.from_bytes(body[:2]), b"\1\1\1"))
                elif first >> 4 == PUBLISH:
                    length = int.from_bytes(body[:2])
                    waiting.append(int.from_bytes(body[2 + length : 4 + length]))
                    most = max(most, len(waiting))

    async def acknowledge(client: Conversation) -> None:
        while True:
            await anyio.sleep(0.01)
            if waiting:
                await client.send(puback(waiting.pop(0)))

    part = ScriptedPart(CALLS)
    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)):
            publisher = await part.wait_online()
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(publisher.publish, Outgoing("t", b"%d" % number))
    assert most == 2


@pytest.mark.parametrize("asked_s", [0, 1, 60_000])
async def test_pings_come_at_least_as_often_as_configured(tmp_path: Path, asked_s: int) -> None:
    pinged = anyio.Event()

    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack(properties=b"\x13" + asked_s.to_bytes(2)))
        while True:
            first, body = await client.read()
            if first >> 4 == 8:
                await client.send(suback(int.from_bytes(body[:2]), b"\1"))
            if first >> 4 == PINGREQ:
                pinged.set()

    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(), keep_alive_s=1):
            with anyio.fail_after(30):
                await pinged.wait()


async def test_a_will_that_the_broker_cannot_keep_is_asked_for_less(tmp_path: Path) -> None:
    flags: list[int] = []

    async def script(client: Conversation) -> None:
        body = await client.read_kind(CONNECT)
        flags.append(body[7])
        will = flags[-1]
        if will & 0x18:
            await client.send(connack(0x9B))
        elif will & 0x20:
            await client.send(connack(0x9A))
        else:
            await client.send(connack())
            await client.answer()

    part = ScriptedPart()
    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part), reconnect_spread_s=0.5):
            await part.wait_online()
    assert [f"{each:08b}" for each in flags] == ["00101110", "00100110", "00000110"]


async def test_refused_subscriptions_are_told_and_the_rest_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack())
        await client.answer(granted=0x87)

    part = ScriptedPart(CALLS)
    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)):
            publisher = await part.wait_online()
            await publisher.publish(Outgoing("t", b"1"))
    assert any(CALLS in each and "does not authorise it" in each for each in warnings_of(caplog))


async def test_a_part_that_fails_at_a_message_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = ScriptedPart(CALLS)
    count = 0

    def fail(message: object) -> None:
        nonlocal count
        count += 1
        raise RuntimeError("a fault of the part")

    part.received = fail  # type: ignore[method-assign]
    async with hostile_broker(accept(publish(CALLS, b"x") * 20)) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(part)):

            async def came() -> bool:
                return count == 20

            await eventually(came)
    assert [each.levelno for each in caplog.records if "failed at a message" in each.getMessage()] == [
        logging.ERROR
    ]


def test_the_fixture_encodes_as_the_standard_says() -> None:
    # MQTT 5, 1.5.5: bounds of the lengths of a variable byte integer.
    assert [variable(each).hex() for each in (0, 127, 128, 16_383, 16_384, 268_435_455)] == [
        "00",
        "7f",
        "8001",
        "ff7f",
        "808001",
        "ffffff7f",
    ]
