"""Events that wait for the broker: bounded, in order, and losses are told in their place."""

import json
from typing import Any

from mqtt_bridge.events.outbox import EventOutbox
from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent


def event(sequence: int, topic: str = "camera.connected", **params: Any) -> AgentEvent:
    return AgentEvent(topic, "boot-1", sequence, {"sequence": sequence, **params})


def sent(outbox: EventOutbox) -> list[dict[str, Any]]:
    """Return all that the outbox sends to a broker that acknowledges everything."""
    found = []
    while (letter := outbox.next()) is not None:
        found.append(json.loads(letter.payload))
        outbox.delivered()
    return found


def test_events_leave_in_order_with_boot_id_sequence_topic_and_params() -> None:
    outbox = EventOutbox(10, 100_000)
    outbox.add(event(1, device="camera0"))
    outbox.add(event(2, "recording.start"))
    assert sent(outbox) == [
        {
            "boot_id": "boot-1",
            "sequence": 1,
            "topic": "camera.connected",
            "params": {"sequence": 1, "device": "camera0"},
        },
        {"boot_id": "boot-1", "sequence": 2, "topic": "recording.start", "params": {"sequence": 2}},
    ]
    assert len(outbox) == 0
    assert outbox.size_bytes == 0


def test_an_event_that_was_not_acknowledged_comes_again_and_first() -> None:
    outbox = EventOutbox(10, 100_000)
    outbox.add(event(1))
    first = outbox.next()
    outbox.add(event(2))
    assert outbox.next() is first
    assert [each["sequence"] for each in sent(outbox)] == [1, 2]


def test_beyond_the_limit_the_oldest_go_and_one_notice_tells_which_before_the_rest() -> None:
    outbox = EventOutbox(3, 100_000)
    for sequence in range(5, 15):
        outbox.add(event(sequence))
    first, *rest = sent(outbox)
    assert first["topic"] == EVENTS_DROPPED
    assert first["params"] == {
        "sequence": 11,
        "count": 7,
        "reason": "outbox_full",
        "boot_id": "boot-1",
        "after": 4,
    }
    assert (first["boot_id"], first["sequence"]) == ("boot-1", 11)
    assert [each["sequence"] for each in rest] == [12, 13, 14]
    assert outbox.dropped == 7


def test_the_event_on_its_way_is_never_dropped_and_the_notice_comes_behind_it() -> None:
    outbox = EventOutbox(2, 100_000)
    outbox.add(event(1))
    outbox.next()
    for sequence in range(2, 8):
        outbox.add(event(sequence))
    places = [(each["sequence"], each["topic"] == EVENTS_DROPPED) for each in sent(outbox)]
    assert places == [(1, False), (5, True), (6, False), (7, False)]


def test_losses_while_a_notice_is_on_its_way_are_told_by_a_second_one() -> None:
    outbox = EventOutbox(1, 100_000)
    for sequence in (1, 2, 3):
        outbox.add(event(sequence))
    outbox.next()  # the notice of 1 and 2
    for sequence in (4, 5):
        outbox.add(event(sequence))
    told = [(each["sequence"], each["params"].get("after")) for each in sent(outbox)]
    assert told == [(2, 0), (4, 2), (5, None)]


def test_a_dropped_notice_of_the_agent_counts_with_what_it_told() -> None:
    outbox = EventOutbox(1, 100_000)
    outbox.add(event(90, EVENTS_DROPPED, after=10, count=40, reason="journal_overflow"))
    outbox.add(event(91))
    outbox.add(event(92))
    first, second = sent(outbox)
    assert (first["params"]["after"], first["params"]["count"], first["sequence"]) == (10, 41, 91)
    assert second["sequence"] == 92


def test_bytes_are_limited_as_well_also_for_one_huge_event() -> None:
    outbox = EventOutbox(1000, 20_000)
    for sequence in range(1, 100):
        outbox.add(event(sequence, text="x" * 1000))
        assert outbox.size_bytes <= 20_000
    assert 10 < len(outbox) < 20
    outbox.add(event(100, text="x" * 30_000))
    assert outbox.size_bytes == 0
    assert [(each["sequence"], each["params"]["count"]) for each in sent(outbox)] == [(100, 100)]


def test_nothing_is_kept_if_nothing_may_be() -> None:
    outbox = EventOutbox(0, 100_000)
    for sequence in (1, 2):
        outbox.add(event(sequence))
    assert [(each["topic"], each["sequence"]) for each in sent(outbox)] == [(EVENTS_DROPPED, 2)]


def test_links_that_open_files_stay_out_of_the_broker() -> None:
    outbox = EventOutbox(10, 100_000)
    links = {"download_url": "/files/x?signature=1", "thumbnail_url": "/files/y?signature=2"}
    outbox.add(event(1, "snapshot.taken", filename="camera0/x.jpg", **links))
    (only,) = sent(outbox)
    assert only["params"] == {"sequence": 1, "filename": "camera0/x.jpg"}
