"""Decisions of the connection without a connection: packets, filters, places, the mark of a run."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge.broker.filters import matches
from mqtt_bridge.broker.flow import FlowLimit
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.broker.packets import BrokerMisbehaves, PacketReader
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.broker.presence import Presence

from .hostile import packet, puback, publish, user_property

LIMIT = 100_000


@given(
    st.lists(st.integers(1, 300), max_size=20), st.lists(st.sampled_from([0, 1, 127, 128, 5000]), max_size=8)
)
def test_packets_are_whole_however_the_bytes_arrive(cuts: list[int], sizes: list[int]) -> None:
    sent = [publish("t", b"x" * size, qos=size % 2) for size in sizes]
    reader, data, received = PacketReader(LIMIT), b"".join(sent), []
    for cut in (*cuts, len(data)):
        received += reader.feed(data[:cut])
        data = data[cut:]
    assert received == sent


@given(st.binary(max_size=300))
def test_any_bytes_are_packets_or_a_fault(data: bytes) -> None:
    reader = PacketReader(LIMIT)
    try:
        packets = reader.feed(data)
    except BrokerMisbehaves:
        return
    assert sum(map(len, packets)) <= len(data) + 3 * len(packets)


def test_the_limit_is_that_of_the_packet() -> None:
    exact = publish("t", b"x" * (LIMIT - 4))
    assert PacketReader(LIMIT).feed(exact) == [exact]
    with pytest.raises(BrokerMisbehaves, match="more than the 100000"):
        PacketReader(LIMIT).feed(publish("t", b"x" * (LIMIT - 3))[:5])


@pytest.mark.parametrize("qos", [0, 1])
def test_too_many_properties_go_with_the_payload(qos: int) -> None:
    few, many = user_property("a", "b") * 1170, user_property("a", "b") * 1171
    kept = publish("t", b"x", qos=qos, number=7, properties=few)
    assert PacketReader(LIMIT).feed(kept) == [kept]
    cut = publish("t", b"x", qos=qos, number=7, properties=many)
    assert PacketReader(LIMIT).feed(cut) == [publish("t", b"", qos=qos, number=7)]


@pytest.mark.parametrize(("code", "read"), [(0, 0), (1, 0), (0x10, 0x10), (0x87, 0x87), (0xFF, 0x80)])
def test_acknowledgements_have_codes_of_the_standard(code: int, read: int) -> None:
    properties = user_property("run", "1")
    body = b"\x12\x34" + bytes((code, len(properties))) + properties
    assert PacketReader(LIMIT).feed(packet(4, body)) == [
        puback(0x1234, read)[:-1].replace(b"\x40\x04", b"\x40\x03")
    ]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/+", "/a", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("a/b/c", "a/b", False),
        ("#", "", False),
    ],
)
def test_filters(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


async def test_places_are_given_in_order_and_by_size() -> None:
    flow, given_to = FlowLimit(3, 100), []

    async def take(name: str, size: int) -> None:
        await flow.take(size)
        given_to.append(name)

    async with anyio.create_task_group() as tasks:
        for name, size in (("one", 60), ("large", 500), ("two", 1)):
            tasks.start_soon(take, name, size)
            await anyio.wait_all_tasks_blocked()
        assert given_to == ["one"]
        flow.release(60)
        await anyio.wait_all_tasks_blocked()
        assert given_to == ["one", "large"]
        flow.release(500)
        await anyio.wait_all_tasks_blocked()
        assert given_to == ["one", "large", "two"]


async def test_a_closed_limit_refuses_who_waits_and_who_comes() -> None:
    flow, lost = FlowLimit(1, 100), []

    async def take() -> None:
        try:
            await flow.take(1)
        except BrokerLost:
            lost.append(True)

    await flow.take(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        flow.close()
    with pytest.raises(BrokerLost):
        await flow.take(1)
    assert lost == [True]


def seen(presence: Presence, run: str | None) -> bool:
    properties = {} if run is None else {"run": run}
    return presence.shows_rival(Incoming("status", b"online", False, properties, None, "", ""))


def test_another_run_is_a_rival_only_after_the_own_birth() -> None:
    presence = Presence("status")
    own = presence.birth.properties["run"]
    assert own == presence.farewell.properties["run"] != Presence("status").birth.properties["run"]
    assert [seen(presence, run) for run in ("before", None, own, None, own, "other")] == [*[False] * 5, True]


def test_what_others_say_after_the_birth_of_a_connection_contradicts() -> None:
    presence = Presence("status")
    own = {"run": presence.birth.properties["run"]}
    birth, kept = (Incoming("status", b"online", kept, own, None, "", "") for kept in (False, True))
    late_will = Incoming("status", b"offline", False, own, None, "", "")
    cleared = Incoming("status", b"", False, {}, None, "", "")
    told = [
        presence.is_contradicted(each) for each in (late_will, kept, late_will, birth, late_will, cleared)
    ]
    assert told == [False, False, False, False, True, True]
    presence.begin()
    assert not presence.is_contradicted(late_will)
