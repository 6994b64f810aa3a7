"""Tiles of cameras: what they ask for, in which order, and what they say, in Chromium."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    CameraReport,
    CameraSource,
    DetectedCamera,
    Fingerprint,
    Plugin,
    Settings,
    Started,
    hookimpl,
)
from plugins.web_console.tests.rig import RED, box, browser, login_link, painted

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

#: Size in which two or three of the tiles can be seen.
SMALL: dict[str, Any] = {"viewport": {"width": 360, "height": 500}}
COUNT = 5
#: As in `pictures.js`: a tile that waits long lets the next one ask.
MOST_PENDING = 3
SHOWN = "document.querySelector('camera-tile[data-device={}] img[src^=blob]') !== null"
#: Begin and end of each request for a picture.
TIMES = """performance.getEntriesByType("resource").filter((each) => each.name.includes("/snapshot.jpg"))
  .map((each) => [each.startTime, each.responseEnd])"""


async def test_tiles_that_can_be_seen_ask_in_turn(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, f"Camera {number}", RED) | {"fps": 2} for number in range(COUNT)]
    async with box(cameras) as agent, browser(tmp_path, **SMALL) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format("camera0"))
        await page("until", script=f"({TIMES}).length > 3")
        last = f"camera{COUNT - 1}"
        assert not [each for each in await page("asked") if f"/{last}/snapshot" in each]
        assert not [each for each in await page("asked") if "live.mjpeg" in each]

        await page("run", script=f"document.querySelector('[data-device={last}]').scrollIntoView()")
        await page("until", script=SHOWN.format(last))
        before = len([each for each in await page("asked") if "/camera0/snapshot" in each])
        count = len(await page("run", script=TIMES))
        await page("until", script=f"({TIMES}).length > {count + 3}")
        after = len([each for each in await page("asked") if "/camera0/snapshot" in each])
        assert after <= before + 1, "what is scrolled away asks no more"

        times = await page("run", script=TIMES)
        at_once = [sum(begin <= at < end for begin, end in times) for at, _ in times]
        assert max(at_once) <= MOST_PENDING, "a browser opens six connections to an origin"
        assert await page.faults() == []


class Twins(CameraSource):
    """Source of two cameras: one moves to another port, and one cannot be told from its twin."""

    name = "twins"

    def __init__(self) -> None:
        self.go = anyio.Event()

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        task_status.started()
        report.connected(self._camera("a", "Traveller", "serial-1", "port-1", 0))
        report.connected(self._camera("b", "Twin", None, "port-2", 1))
        await self.go.wait()
        for key in "ab":
            report.disconnected(key, "It was unplugged.")
        report.connected(self._camera("a", "Traveller", "serial-1", "port-7", 0))
        report.connected(self._camera("b", "Twin", None, "port-2", 1))
        await anyio.sleep_forever()

    def _camera(self, key: str, name: str, serial: str | None, port: str, number: int) -> DetectedCamera:
        seen = Fingerprint(self.name, descriptor="model", serial=serial, port=port)
        return DetectedCamera(key, name, seen, None, number_hint=number)


async def test_a_tile_tells_what_is_odd_and_keeps_its_place(tmp_path: Path) -> None:
    source = Twins()

    class TwinsPlugin(Plugin[Settings]):
        @hookimpl
        def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
            return [source]

    third = {"id": "camera2", **painted(tmp_path, "Red", RED)}
    async with (
        box([], others={"twins": TwinsPlugin}, plugins={"virtual_camera": {"cameras": [third]}}) as agent,
        browser(tmp_path) as page,
    ):
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format("camera2"))
        names = await page("texts", selector="camera-tile .name")
        assert names == ["Traveller", "Twin", "Red"]
        assert "320\u00d7240, 5 fps" in " ".join(await page("texts", selector="[data-device=camera2]"))
        assert "Moved" not in " ".join(await page("texts", selector="camera-tile"))
        source.go.set()
        await page("wait", selector="[data-device=camera0] .mark", text="Moved")
        await page("wait", selector="[data-device=camera1] .mark", text="Ambiguous")
        assert await page("texts", selector="camera-tile .name") == names
        await page("click", selector="[data-device=camera2] a")
        await page("click", selector="summary >> text=Capabilities")
        await page("wait", selector="details .facts", text="Formats")
        assert await page("count", selector="live-view") == 1
