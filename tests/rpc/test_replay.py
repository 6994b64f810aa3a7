"""Replay of missed events: in order, without gap or double, from a journal that is bounded."""

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agent_core.base.models import CameraId
from tests.toy_server import NARROW, Toy

if TYPE_CHECKING:
    from tests.toy_server import Peer

TOPIC = "camera.connected"


def toy_with(state_dir: Path, **server: int) -> Toy:
    return Toy(state_dir, sections={**NARROW, "server": {**NARROW["server"], **server}})


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[Toy]:
    toy = toy_with(tmp_path / "state")
    async with filling(toy):
        yield toy


@asynccontextmanager
async def filling(toy: Toy) -> AsyncIterator[None]:
    """Run what fills the journal."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(toy.sessions.run)
        yield
        tasks.cancel_scope.cancel()


def happen(toy: Toy, *numbers: int, topic: str = TOPIC, camera: str = "camera0") -> None:
    for number in numbers:
        toy.bus.publish(topic, {"device": camera, "number": number}, camera=CameraId(camera))


async def follow(
    toy: Toy,
    peer: "Peer",
    since: int | None = None,
    *topics: str,
    boot_id: str | None = None,
    device: str = "",
) -> Any:
    """Subscribe to `topics`, those since the event numbered `since` first; return the result."""
    params: dict[str, object] = {"topics": list(topics or (TOPIC,))}
    if device:
        params["filters"] = {"device": device}
    if since is not None:
        params["replay_since"] = {"boot_id": boot_id or toy.bus.boot_id, "sequence": since}
    return await peer.result("subscribe_events", **params)


@asynccontextmanager
async def viewer(toy: Toy, *, buffer: float = math.inf, lifetime_s: float = 3600) -> AsyncIterator["Peer"]:
    async with toy.peer(buffer=buffer) as peer:
        await peer.call("authenticate", auth_token=toy.token(lifetime_s=lifetime_s))
        yield peer


async def heard(peer: "Peer", count: int) -> list[Any]:
    return [await peer.receive() for _ in range(count)]


def sequences(notifications: Iterable[Any]) -> list[int]:
    return [each["params"]["sequence"] for each in notifications]


async def test_a_replay_comes_after_the_answer_and_before_what_happens_then(toy: Toy) -> None:
    happen(toy, 1, 2, 3, 4)
    async with viewer(toy) as peer:
        answer = await follow(toy, peer, 2)
        happen(toy, 5)
        assert answer["sequence"] == 4
        assert answer["boot_id"] == toy.bus.boot_id
        assert sequences(await heard(peer, 3)) == [3, 4, 5]
        assert await peer.result("ping") == "pong"


async def test_a_replay_tells_what_the_event_told_at_its_time(toy: Toy) -> None:
    state = {"status": "CONNECTED"}
    toy.topics.register(TOPIC, lambda payload, stamp: {**payload, **state, "sequence": stamp.sequence})
    async with viewer(toy) as live, viewer(toy) as later:
        await follow(toy, live)
        happen(toy, 1)
        first = await live.receive()
        happen(toy, 2)
        await anyio.wait_all_tasks_blocked()
        state["status"] = "DISCONNECTED"
        await follow(toy, later, 0)
        replayed = await heard(later, 2)
    assert replayed[0] == first
    assert replayed[1]["params"]["status"] == "CONNECTED"


async def test_topics_and_filters_apply_to_what_is_replayed(toy: Toy) -> None:
    happen(toy, 1)
    happen(toy, 2, camera="camera1")
    happen(toy, 3, topic="camera.disconnected")
    happen(toy, 4, topic="recording.start")
    toy.bus.publish("system.health", {"status": "HEALTHY"})
    async with viewer(toy) as peer:
        await follow(toy, peer, 0, TOPIC, "recording.started", "system.health", device="camera0")
        assert sequences(await heard(peer, 3)) == [1, 4, 5]
        assert await peer.result("ping") == "pong"


async def test_other_topics_of_the_connection_are_not_sent_again(toy: Toy) -> None:
    async with viewer(toy) as peer:
        await follow(toy, peer, None, "camera.disconnected")
        happen(toy, 1, 2, topic="camera.disconnected")
        happen(toy, 3)
        await heard(peer, 2)
        await follow(toy, peer, 0, TOPIC)
        happen(toy, 4, topic="camera.disconnected")
        assert [(each["method"], each["params"]["sequence"]) for each in await heard(peer, 2)] == [
            (TOPIC, 3),
            ("camera.disconnected", 4),
        ]


async def test_what_waits_for_a_peer_keeps_its_place_among_what_is_replayed(toy: Toy) -> None:
    async with viewer(toy, buffer=0) as peer:
        await follow(toy, peer, None, "camera.disconnected")
        happen(toy, 1)
        happen(toy, 2, 3, topic="camera.disconnected")
        happen(toy, 4)
        await peer.post(
            "again",
            "subscribe_events",
            topics=[TOPIC],
            replay_since={"boot_id": toy.bus.boot_id, "sequence": 0},
        )
        await anyio.wait_all_tasks_blocked()
        happen(toy, 5)
        got = await heard(peer, 6)
    assert sequences(each for each in got if "params" in each) in ([2, 1, 3, 4, 5], [1, 2, 3, 4, 5])


async def test_a_replay_requested_twice_is_sent_twice_in_order(toy: Toy) -> None:
    happen(toy, 1, 2)
    async with viewer(toy) as peer:
        for _ in range(2):
            await follow(toy, peer, 0)
            assert sequences(await heard(peer, 2)) == [1, 2]
        happen(toy, 3)
        assert sequences(await heard(peer, 1)) == [3]


async def test_a_second_replay_while_the_first_waits_leaves_no_gap_and_no_double(toy: Toy) -> None:
    happen(toy, *range(1, 9))
    async with viewer(toy, buffer=0) as peer:
        for name, since in (("one", 4), ("two", 6)):
            await peer.post(
                name,
                "subscribe_events",
                topics=[TOPIC],
                replay_since={"boot_id": toy.bus.boot_id, "sequence": since},
            )
        got = await heard(peer, 6)
        happen(toy, 9)
        got += await heard(peer, 1)
    assert sequences(each for each in got if "params" in each) == [5, 6, 7, 8, 9]


async def test_another_start_of_the_agent_is_a_gap(toy: Toy) -> None:
    happen(toy, 1, 2)
    async with viewer(toy) as peer:
        await follow(toy, peer, 700, boot_id="another")
        notice, *events = await heard(peer, 3)
        assert notice["method"] == "system.events_dropped"
        assert notice["params"] == {
            "reason": "agent_restarted", "count": 0, "after": 0, "sequence": 0, "boot_id": toy.bus.boot_id,
        }  # fmt: skip
        assert sequences(events) == [1, 2]


async def test_a_number_from_the_future_is_a_gap(toy: Toy) -> None:
    happen(toy, 1, 2)
    async with viewer(toy) as peer:
        await follow(toy, peer, 3)
        notice, *events = await heard(peer, 3)
        assert notice["params"]["reason"] == "unknown_sequence"
        assert sequences(events) == [1, 2]
        happen(toy, 3)
        assert sequences(await heard(peer, 1)) == [3]


async def test_the_newest_number_is_no_gap(toy: Toy) -> None:
    happen(toy, 1, 2)
    async with viewer(toy) as peer:
        await follow(toy, peer, 2)
        happen(toy, 3)
        assert sequences(await heard(peer, 1)) == [3]


@pytest.mark.parametrize(
    "since",
    [
        {},
        {"boot_id": "x"},
        {"sequence": 1},
        {"boot_id": "x", "sequence": -1},
        {"boot_id": "x", "sequence": "1"},
        {"boot_id": "x", "sequence": 1.5},
        {"boot_id": "x", "sequence": 2**53},
        {"boot_id": "x" * 101, "sequence": 1},
        {"boot_id": "x", "sequence": 1, "more": 1},
        3,
    ],
)
async def test_a_place_that_is_none_is_refused_and_changes_nothing(toy: Toy, since: object) -> None:
    happen(toy, 1)
    async with viewer(toy) as peer:
        error = await peer.error("subscribe_events", topics=[TOPIC], replay_since=since)
        assert error["code"] == -32602
        assert error["data"]["param"].startswith("replay_since")
        happen(toy, 2)
        assert await peer.result("ping") == "pong"


async def test_a_journal_that_has_overflowed_tells_the_gap_in_its_place(tmp_path: Path) -> None:
    toy = toy_with(tmp_path / "small", event_journal_bytes=8192)
    async with filling(toy), viewer(toy) as peer:
        happen(toy, *range(1, 101))
        oldest = toy.sessions.journal.oldest
        assert 1 < oldest <= 100
        await follow(toy, peer, 1)
        notice, *events = await heard(peer, 102 - oldest)
        assert notice["params"] == {
            "reason": "journal_overflow", "count": oldest - 2, "after": 1, "sequence": oldest - 1,
            "boot_id": toy.bus.boot_id,
        }  # fmt: skip
        assert sequences(events) == list(range(oldest, 101))


async def test_a_gap_in_other_topics_is_none(tmp_path: Path) -> None:
    toy = toy_with(tmp_path / "small", event_journal_bytes=8192)
    async with filling(toy), viewer(toy) as peer:
        happen(toy, 1)
        happen(toy, *range(2, 101), topic="system.health")
        await follow(toy, peer, 1)
        happen(toy, 101)
        assert sequences(await heard(peer, 1)) == [101]


async def test_a_journal_that_overflows_during_a_replay_tells_the_gap_in_its_place(tmp_path: Path) -> None:
    toy = toy_with(tmp_path / "small", event_journal_bytes=20_000)
    async with filling(toy), viewer(toy, buffer=0) as peer:
        happen(toy, *range(1, 6))
        await peer.post(
            "replay",
            "subscribe_events",
            topics=[TOPIC],
            replay_since={"boot_id": toy.bus.boot_id, "sequence": 0},
        )
        assert sequences(each for each in await heard(peer, 2) if "params" in each) == [1]
        await anyio.wait_all_tasks_blocked()  # the second is under way
        happen(toy, *range(6, 101))
        got = [await peer.receive(), await peer.receive()]
        assert sequences(got[:1]) == [2]
        assert got[1]["params"]["reason"] == "journal_overflow"
        assert got[1]["params"]["after"] == 2
        rest = await heard(peer, 100 - got[1]["params"]["sequence"])
        assert sequences(rest) == list(range(got[1]["params"]["sequence"] + 1, 101))


async def test_what_the_queue_drops_during_a_replay_comes_from_the_journal(toy: Toy) -> None:
    happen(toy, 1, 2, 3)
    async with viewer(toy, buffer=0) as peer:
        await peer.post(
            "replay",
            "subscribe_events",
            topics=[TOPIC],
            replay_since={"boot_id": toy.bus.boot_id, "sequence": 0},
        )
        await peer.receive()
        happen(toy, *range(4, 21))  # the queue has three places
        assert sequences(await heard(peer, 20)) == list(range(1, 21))


async def test_expired_credentials_end_a_replay(toy: Toy) -> None:
    happen(toy, *range(1, 6))
    async with viewer(toy, buffer=0, lifetime_s=60) as peer:
        await peer.post(
            "replay",
            "subscribe_events",
            topics=[TOPIC],
            replay_since={"boot_id": toy.bus.boot_id, "sequence": 0},
        )
        await heard(peer, 2)
        await anyio.wait_all_tasks_blocked()
        toy.clock.jump(60)
        await anyio.wait_all_tasks_blocked()
        under_way, last = await heard(peer, 2)
        assert under_way["params"]["sequence"] == 2
        assert last["method"] == "system.auth_expired"
        assert last["params"]["sequence"] <= 2
        await peer.call("authenticate", auth_token=toy.token())
        happen(toy, 6)
        assert sequences(await heard(peer, 1)) == [6]
        await follow(toy, peer, 2)
        assert sequences(await heard(peer, 4)) == [3, 4, 5, 6]
