"""Search of the networks, in Chromium, with a real RTSP server at an address of loopback."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import anyio
import httpx
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.processes import child
from agent_core.plugin import ffmpeg
from agent_core.plugin.rtsp import Credentials
from embedded_server import EmbeddedServerSettings, serving
from plugins.external_discovery.tests.network.clips import Clips
from plugins.web_console.tests.rig import box, browser, login_link

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

#: A port that searches for cameras try, and a path that they know.
PORT, PATH = 8554, "stream1"
#: Slow enough that the course of a search is seen.
CONNECTIONS_PER_S = 16


def free_address() -> IPv4Address:
    """Return a loopback address whose port is free; tests of other checkouts may run beside this one."""
    first = int(IPv4Address("127.64.0.1"))
    for number in range(64):
        address = IPv4Address(first + (os.getpid() * 64 + number) * 16 % (1 << 20))
        with closing(socket.socket()) as probe:
            if probe.connect_ex((str(address), PORT)):
                return address
    pytest.skip("this host has no free loopback address")


@asynccontextmanager
async def camera(address: IPv4Address, folder: Path) -> AsyncIterator[str]:
    """Run an RTSP server with one stream, and return its URL."""
    own = Credentials("camera", "of-a-test")
    recordings = str(folder / "camera/%path/%Y-%m-%d_%H-%M-%S-%f")
    settings = EmbeddedServerSettings.model_validate(
        {"host": str(address), "api_port": 0, "rtsp_port": PORT, "record_path": recordings}
    )
    url = f"rtsp://{address}:{PORT}/{PATH}"
    clip = Clips(folder / "clips").h264()
    words = [
        "-stream_loop",
        "-1",
        "-re",
        "-i",
        str(clip),
        "-c",
        "copy",
        "-f",
        "rtsp",
        "-rtsp_transport",
        "tcp",
    ]
    async with serving(settings, SystemClock(), recordings=folder, credentials=own) as server:
        at = await server.wait_endpoints()
        base = f"http://{address}:{at.api_port}/v3"
        async with httpx.AsyncClient(auth=(own.user, own.password), timeout=30) as client:
            (await client.post(f"{base}/config/paths/add/{PATH}", json={})).raise_for_status()
            async with child([ffmpeg.locate(), *ffmpeg.QUIET, *words, url]):
                with anyio.fail_after(30):
                    while not (await client.get(f"{base}/paths/get/{PATH}")).json().get("ready"):
                        await anyio.sleep(0.1)
                yield url


async def test_a_search_shows_its_course_and_finds_a_camera_to_add(tmp_path: Path) -> None:
    address = free_address()
    network = str(IPv4Network(f"{address}/28", strict=False))
    settings = {
        "allowed_networks": [network],
        "discovery": {"networks": [network], "connections_per_s": CONNECTIONS_PER_S, "onvif": False},
    }
    plugins = {"enabled": ["external_discovery", "ffmpeg_tier"], "external_discovery": settings}
    async with (
        camera(address, tmp_path) as url,
        box([], plugins=plugins) as agent,
        browser(tmp_path) as page,
    ):
        await page("open", url=login_link(agent, "operator"))
        await page("click", selector="nav a[href='#/external']")
        await page("wait", selector="external-streams p", text="There are no network streams yet.")
        await page("click", selector="button >> text=Search the networks")
        await page("until", script="document.querySelector('progress').value > 0")
        await page("wait", selector="external-streams", text="of 14 hosts")
        assert await page("axe") == []
        await page("wait", selector="external-streams [role=status]", text="1 stream found.")
        await page("until", script="document.querySelector('progress').hidden")
        row = "external-streams tbody tr"
        assert [url in each for each in await page("texts", selector=row)] == [True]
        assert await page("axe") == []

        await page("click", selector=f"button[aria-label='Add {url}']")
        await page("wait", selector=f"button[aria-label='Remove {url}']")
        await page("run", script="location.hash = '#/cameras'")
        await page("wait", selector="camera-tile[data-status=CONNECTED]")
        await page("until", script="document.querySelectorAll('camera-tile img[src^=blob]').length === 1")

        await page("run", script="location.hash = '#/external'")
        await page("click", selector=f"button[aria-label='Remove {url}']")
        await page("wait", selector="dialog", text="recordings and snapshots stay")
        await page("click", selector="dialog button.danger")
        await page("wait", selector=f"button[aria-label='Add {url}']")
        await page("run", script="location.hash = '#/cameras'")
        await page("wait", selector="camera-tiles", text="no camera")
        assert await page.faults() == []
