"""`get_picture`: pictures in base64, which are not stored."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from agent_core.api.pictures import picture_methods
from agent_core.auth.roles import Principal, Role
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.client import CallFailed
from agent_core.plugin.jpeg import inspect
from agent_core.rpc.table import Caller
from agent_core.snapshots.models import TakenPicture
from agent_core.testing import RunningAgent, running_agent

CAMERAS = {"cameras": [{"name": "Test", "id": "camera0", "width": 640, "height": 480, "fps": 15}]}


@pytest.fixture
async def agent(observe: Callable[[str], None]) -> AsyncIterator[RunningAgent]:
    plugins = {"enabled": ["virtual_camera"], "virtual_camera": CAMERAS}
    async with running_agent(config={"plugins": plugins}, observe=observe) as agent:
        yield agent


async def test_a_viewer_gets_a_picture_that_is_not_stored(agent: RunningAgent) -> None:
    async with agent.client("viewer") as client:
        picture = await client.get_picture("camera0", width=320, max_age_ms=0)
        stored = await client.list_snapshots()
    data = b64decode(picture.data)
    assert (picture.content_type, picture.width, picture.height) == ("image/jpeg", 320, 240)
    assert (inspect(data).width, inspect(data).height) == (320, 240)
    assert picture.size_bytes == len(data)
    assert (picture.tier_used, picture.tier_name) == (0, "frames")
    assert picture.age_ms >= 0
    assert stored.total == 0


async def test_a_picture_that_is_too_large_says_at_which_width_it_fits(agent: RunningAgent) -> None:
    async with agent.client("viewer") as client:
        with pytest.raises(CallFailed) as caught:
            await client.get_picture("camera0", max_bytes=4096)
        assert (caught.value.code, caught.value.data["rule"]) == (-32602, "picture_too_large")
        assert caught.value.data["param"] == "max_bytes"
        width = int(caught.value.data["hint"].removeprefix("width="))
        assert f"width={width}" in caught.value.data["suggestion"]
        picture = await client.get_picture("camera0", max_bytes=4096, width=width)
        assert picture.size_bytes <= 4096
        with pytest.raises(CallFailed) as refused:
            await client.get_picture("camera0", max_bytes=10_000_000)
        assert refused.value.code == -32602


class _Camera:
    """Controller that has one picture."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    async def take_picture(self, device: str, request: object) -> TakenPicture:
        now = datetime(2026, 11, 22, tzinfo=UTC)
        return TakenPicture(self._picture, 0, "frames", 0.1, now, 0.0, now)


async def test_the_filter_for_device_paths_leaves_the_data_alone() -> None:
    data = b64decode("AAA+/dev/video0/AA==") + b"\xff\xd9"
    assert b"/dev/" in b64encode(data)
    picture = Picture(data, PictureFormat.JPG, 4, 4, 0.0, CapturedAtSource.DEVICE)
    controller: Any = _Camera(picture)
    session: Any = None
    caller = Caller(session, Principal("someone", Role.VIEWER, None, "token:a.b"), "1")
    (method,) = picture_methods(controller)
    result = await method.call({"device": "camera0"}, caller)
    assert "[device]" not in result
    assert b64decode(method.result_type.validate_json(result).data) == data  # type: ignore[attr-defined]
