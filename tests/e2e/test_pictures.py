"""One camera without hardware, through the whole agent: in order, fresh, shared."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from agent_core.client import AgentClient
from agent_core.testing.agents import RunningAgent, running_agent
from virtual_camera import burnt_in

#: The marks have whole milliseconds.
ROUNDING = timedelta(milliseconds=1)


@pytest.fixture
async def agent(observe: Callable[[str], None]) -> AsyncIterator[RunningAgent]:
    plugins = {
        "enabled": ["virtual_camera", "ffmpeg_tier"],
        "virtual_camera": {
            "cameras": [{"name": "Test", "id": "camera0", "width": 640, "height": 480, "fps": 15}]
        },
    }
    async with running_agent(config={"plugins": plugins}, observe=observe) as agent:
        yield agent


async def take(client: AgentClient, **params: Any) -> tuple[dict[str, Any], burnt_in.Mark]:
    """A snapshot and what is drawn in it."""
    with anyio.fail_after(30):
        snapshot: Any = await client.call("take_snapshot", device="camera0", **params)
    return snapshot, burnt_in.read(Path(snapshot["file_path"]).read_bytes())


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_consecutive_snapshots_show_the_counter_in_order(agent: RunningAgent) -> None:
    async with agent.client() as client:
        ages = [500, 500, 0] * 4
        marks = [(await take(client, max_age_ms=age))[1].counter for age in ages]
    assert marks == sorted(marks)
    fresh = marks[2::3]
    assert len(set(fresh)) == len(fresh)


async def test_a_snapshot_is_what_the_camera_drew_and_says_when(agent: RunningAgent) -> None:
    async with agent.client() as client:
        snapshot, mark = await take(client)
    assert (snapshot["tier_used"], snapshot["tier_name"]) == (0, "frames")
    assert snapshot["resolution"] == "640x480"
    assert snapshot["captured_at_source"] == "device"
    assert abs(moment(snapshot["captured_at"]) - mark.drawn_at) <= 2 * ROUNDING
    with Image.open(snapshot["file_path"]) as image:
        exif = image.getexif().get_ifd(0x8769)
    assert exif[0x9003] == moment(snapshot["captured_at"]).strftime("%Y:%m:%d %H:%M:%S")


async def test_max_age_zero_never_gives_a_frame_from_before_the_call(agent: RunningAgent) -> None:
    async with agent.client() as client:
        for _ in range(10):
            called_at = datetime.now(UTC)
            _, mark = await take(client, max_age_ms=0)
            assert mark.drawn_at >= called_at - ROUNDING


async def test_an_allowed_age_is_kept(agent: RunningAgent) -> None:
    async with agent.client() as client:
        for _ in range(5):
            called_at = datetime.now(UTC)
            _, mark = await take(client, max_age_ms=300)
            assert mark.drawn_at >= called_at - timedelta(milliseconds=300) - ROUNDING


async def test_fifty_at_once_all_succeed_from_at_most_two_captures(agent: RunningAgent) -> None:
    counters: set[int] = set()
    names: set[str] = set()

    async def one(client: AgentClient) -> None:
        called_at = datetime.now(UTC)
        snapshot, mark = await take(client, max_age_ms=0)
        assert mark.drawn_at >= called_at - ROUNDING
        counters.add(mark.counter)
        names.add(snapshot["filename"])

    async with agent.client() as first, agent.client() as second:
        async with anyio.create_task_group() as tg:
            for number in range(50):
                tg.start_soon(one, first if number % 2 else second)
    assert len(names) == 50
    assert len(counters) <= 2


async def test_tier_1_serves_a_camera_whose_broker_is_not_asked(agent: RunningAgent) -> None:
    """The same camera by FFmpeg alone: the tier reads the frame socket like any other input."""
    camera = agent.parts.cameras.get("camera0")
    (tier,) = [tier for tier in agent.parts.snapshots.tiers if tier.rank == 1]
    from agent_core.base.clock import SystemClock
    from agent_core.plugin import CaptureRequest

    now_s = SystemClock().monotonic_s()
    called_at = datetime.now(UTC)
    with anyio.fail_after(30):
        picture = await tier.capture(camera, CaptureRequest(now_s, now_s + 20))
    assert picture.captured_s >= now_s
    assert burnt_in.read(picture.data).drawn_at >= called_at - ROUNDING


@pytest.mark.parametrize(
    ("params", "size", "kind"),
    [
        ({"width": 320}, (320, 240), "JPEG"),
        ({"format": "png"}, (640, 480), "PNG"),
        ({"width": 100, "height": 100, "quality": 30}, (100, 100), "JPEG"),
        ({"width": 8192}, (640, 480), "JPEG"),
        ({"width": 8192, "height": 8192, "format": "png"}, (480, 480), "PNG"),
    ],
)
async def test_size_and_format_as_asked(
    agent: RunningAgent, params: dict[str, Any], size: tuple[int, int], kind: str
) -> None:
    async with agent.client() as client:
        snapshot: Any = await client.call("take_snapshot", device="camera0", **params)
    with Image.open(snapshot["file_path"]) as image:
        assert (image.size, image.format) == (size, kind)


@pytest.mark.parametrize(
    ("content", "resolution"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999999 99999999\n%%EOF\n", ""),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4) * 2 + b"\x08\x02\0\0\0", "60000x60000"),
        (b"\xff\xd8\xff\xe0", ""),
        (b"", ""),
    ],
)
async def test_whatever_lies_in_the_folder_is_described(
    agent: RunningAgent, content: bytes, resolution: str
) -> None:
    async with agent.client() as client:
        snapshot, _ = await take(client)
        Path(snapshot["file_path"]).with_name("planted.jpg").write_bytes(content)
        info: Any = await client.call("get_snapshot_info", filename="camera0/planted.jpg")
    assert (info["resolution"], info["file_size"]) == (resolution, len(content))


async def test_stored_snapshots_are_listed_described_and_downloaded(agent: RunningAgent) -> None:
    async with agent.client() as client:
        snapshot, _ = await take(client, filename="front")
        listed: Any = await client.call("list_snapshots", device="camera0")
        info: Any = await client.call("get_snapshot_info", filename="camera0/front.jpg")
    assert [file["filename"] for file in listed["files"]] == ["camera0/front.jpg"]
    assert info["resolution"] == "640x480"
    assert info["file_size"] == snapshot["file_size"]
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        assert (await http.get("/files/snapshots/camera0/front.jpg")).status_code == 401
        answer = await http.get(snapshot["download_url"])
    assert answer.status_code == 200
    assert answer.content == Path(snapshot["file_path"]).read_bytes()


async def test_the_event_of_a_snapshot_names_its_camera(agent: RunningAgent) -> None:
    taken = agent.parts.events.subscribe(lambda event: event.topic == "snapshot.taken")
    async with agent.client() as client:
        with taken as events, anyio.fail_after(20):
            await take(client)
            assert (await events.receive()).camera == "camera0"


async def test_a_snapshot_is_announced_to_who_subscribed(agent: RunningAgent) -> None:
    async with agent.client() as watcher, agent.client() as client:
        async with watcher.subscribe(["snapshot.taken"], device="camera0") as events:
            snapshot, _ = await take(client)
            with anyio.fail_after(10):
                event = await anext(aiter(events))
    assert event.topic == "snapshot.taken"
    assert event.params["filename"] == snapshot["filename"]
