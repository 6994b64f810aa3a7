"""Containers: their network is their own, so that events may not arrive, and their nodes have other names than the host's."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.containers import HIDE_UDEV, Owner, contained, own_nodes
from tests.vm.guest.sources import LIMIT_S

#: What a container may have: a network that belongs to root or to its own users, with the host's /run/udev or without.
CONTAINERS: tuple[tuple[Owner, str], ...] = (
    ("rootless", "true"),
    ("rootless", HIDE_UDEV),
    ("rootful", "true"),
    ("rootful", HIDE_UDEV),
)


def camera(letter: str, width: int, height: int) -> Layout:
    size = FrameSize(width, height, (15,))
    return Layout(serial=f"CAM-{letter * 4}", product=f"Camera {letter}", mjpeg=(size,), yuyv=())


async def test_plug_and_unplug_are_noticed_in_each_kind_of_container(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    """No look at all devices is due within the hour."""
    async with AsyncExitStack() as stack:
        every = []
        for number, (owner, prepare) in enumerate(CONTAINERS):
            folder = tmp_path / str(number)
            folder.mkdir()
            every.append(await stack.enter_async_context(contained(owner, folder, "watch", prepare=prepare)))

        async def say(word: str) -> None:
            assert [await lines.next() for lines in every] == [word] * len(CONTAINERS)

        with anyio.fail_after(4 * LIMIT_S):
            await say("watching")
            async with webcam():
                await say("connected")
            await say("gone")


async def test_a_camera_is_the_one_behind_its_node_whatever_the_node_is_called(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    """As with `docker run --device /dev/video2:/dev/video0`: one has another's name, one a new number, one none."""
    settings = {"cameras": [{"match": "CAM-BBBB", "id": "camera7", "controls": {"brightness": 11}}]}
    async with (
        webcam(camera("A", 640, 480)) as a,
        webcam(camera("B", 320, 240)) as b,
        webcam(camera("C", 160, 120)) as c,
    ):
        nodes = {a.node.name: b.node, "video97": a.node, "webcam": c.node}
        prepare = f"{HIDE_UDEV} && {own_nodes(tmp_path / 'dev', nodes)}"
        async with contained(
            "rootless", tmp_path, "show", "3", json.dumps(settings), prepare=prepare
        ) as lines:
            with anyio.fail_after(3 * LIMIT_S):
                found = {shown[0]: shown[1:] for shown in [json.loads(await lines.next()) for _ in nodes]}
                # The container's nodes stay when their devices go: only sysfs tells.
                await c.unplug()
                assert await lines.next() == "gone"
        assert found["Camera B"] == ["camera7", "1d6b:0102:CAM-BBBB", 320]
        assert found["Camera A"][1:] == ["1d6b:0102:CAM-AAAA", 640]
        assert found["Camera C"][1:] == ["1d6b:0102:CAM-CCCC", 160]
        assert [(await each.controls())["brightness"] for each in (a, b)] == [0, 11]
