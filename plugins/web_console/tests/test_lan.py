"""The page in Chromium on a computer beside the agent's, at an address that browsers call insecure, with WebRTC and without."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import RunningAgent
from agent_core.testing.mediamtx import find_mediamtx
from plugins.external_discovery.tests.network.lan import Host, running_network
from plugins.external_discovery.tests.network.namespaces import why_unavailable
from plugins.web_console.tests.rig import (
    BLUE,
    RED,
    Browser,
    Colour,
    box,
    browser,
    is_near,
    login_link,
    needs_h265,
    painted,
)

#: A browser and an agent beside other tests.
pytestmark = pytest.mark.timeout(150)

SHOWN = "document.querySelectorAll('camera-tile img[src^=blob]').length === {}"
MJPEG = "document.querySelector('live-view img[src^=blob]') !== null"
#: Live pictures in the page, of either kind, but for a video that has none yet.
PICTURES = "document.querySelectorAll('.stage img, .stage video:not(.waits)').length"

#: Asks the relay for a session, as a page without a login.
WITHOUT_CREDENTIALS = """fetch('cameras/camera0/whep', {
    method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: 'v=0'
}).then(answer => answer.status)"""


@dataclass(frozen=True, slots=True)
class Lan:
    """Address of the agent that is not loopback, and the computers; None where there are no namespaces."""

    address: str
    agent: Host | None = None
    laptop: Host | None = None


@pytest.fixture
def lan() -> Iterator[Lan]:
    """Two computers at a wire, this process on the agent's; without namespaces this host's own address."""
    if why_unavailable() is not None:
        yield Lan(_own_address())
        return
    with running_network() as network:
        laptop = network.add_host("laptop")
        yield Lan(str(network.agent.v4), network.agent, laptop)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this host has no address but loopback, and makes no namespaces")
        return str(probe.getsockname()[0])


def media_server(**settings: Any) -> dict[str, Any]:
    """Return the settings of a MediaMTX that the agent runs; skip the test without the program."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    ports = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)
    return {"mode": "managed", "program": str(program), **ports, **settings}


async def serves_webrtc(agent: RunningAgent) -> None:
    async with agent.client("viewer") as client:
        with anyio.fail_after(60):
            while any(
                "webrtc" not in each["served"] for each in (await client.call("get_camera_list"))["cameras"]
            ):
                await anyio.sleep(0.1)


async def has_readers(agent: RunningAgent, device: str, count: int) -> None:
    """Wait until a camera's stream has this number of readers."""
    async with agent.client("viewer") as client:
        with anyio.fail_after(40):
            while (await client.call("get_stream_status", device=device))["mediamtx_path"][
                "readers"
            ] != count:
                await anyio.sleep(0.1)


async def changes(page: Browser) -> None:
    """Wait until the live picture is another one."""
    first = await page("shot", selector=".stage")
    with anyio.fail_after(40):
        while await page("shot", selector=".stage") == first:
            await anyio.sleep(0.1)


async def shows_by_mjpeg(page: Browser, why: str, colour: Colour) -> None:
    """Wait until MJPEG is shown for this reason, with its delay, and look at the picture."""
    await page("wait", selector="live-view p", text="Live by MJPEG")
    words = (await page("texts", selector="live-view p"))[0]
    assert re.fullmatch(
        rf"Live by MJPEG, because {why}; (less than )?\d[\d.]* m?s behind the camera.*", words
    ), words
    assert is_near(await page.colour(".stage"), colour)
    assert await page("run", script=PICTURES) == 1


async def test_all_of_it_works_at_an_address_that_browsers_call_insecure(tmp_path: Path, lan: Lan) -> None:
    cameras = [painted(tmp_path, "Red", RED), painted(tmp_path, "Blue", BLUE)]
    views = {"max_live_per_address": 1}
    async with (
        box(cameras, server={"host": lan.address}, views=views) as agent,
        browser(tmp_path, lan.laptop) as page,
    ):
        await page("open", url=login_link(agent))
        await page("until", script=SHOWN.format(2))
        assert await page("run", script="[isSecureContext, navigator.clipboard, crypto.subtle]") == [
            False,
            None,
            None,
        ]
        await page("click", selector="button >> text=Log out")
        await page("fill", selector="#token", value=agent.token("operator"))
        await page("press", key="Enter")
        await page("until", script=SHOWN.format(2))
        # The page has one live view: that of the first camera ends before the other begins.
        for device, colour in (("camera0", RED), ("camera1", BLUE)):
            await page("run", script=f"location.hash = '#/camera/{device}'")
            await page("wait", selector="live-view", text="behind the camera")
            assert is_near(await page.colour(".stage"), colour)
            assert await page("run", script=PICTURES) == 1
        await page("click", selector="text=Take snapshot")
        await page("until", script="document.querySelector('img.taken')?.naturalWidth === 320")
        await page("click", selector="summary >> text=Addresses")
        await page("click", selector="button[aria-label^='Copy: Picture']")
        await page("wait", selector=".address", text="Copied.")
        address = f"{agent.http_url}/cameras/camera1/snapshot.jpg"
        assert await page("run", script="getSelection().toString()") == address
        # Headers for HTTPS only; and a view that was asked for before the agent knew of the other's end.
        known = ("Cross-Origin-Opener-Policy", "429")
        assert [each for each in await page("noticed") if not any(one in each for one in known)] == []
        await page("click", selector="button >> text=Log out")
        await page("click", selector="#token")
        await page("press", key="Control+V")
        assert await page("run", script="document.querySelector('#token').value") == address


@pytest.mark.real_mediamtx
async def test_webrtc_plays_until_udp_is_blocked_and_then_mjpeg_does(tmp_path: Path, lan: Lan) -> None:
    cameras = [painted(tmp_path, "Red", RED) | {"codec": "h264", "key_interval_s": 0.5}]
    cameras.append(painted(tmp_path, "Blue", BLUE))
    password = "not-guessed"
    server = media_server(listen="all", host=lan.address, read_user="hub", read_password=password)
    async with (
        box(
            cameras, server={"host": lan.address}, media_server=server, plugins={"enabled": ["ffmpeg_tier"]}
        ) as agent,
        browser(tmp_path, lan.laptop) as page,
    ):
        await serves_webrtc(agent)
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(2))
        for device, colour in (("camera0", RED), ("camera1", BLUE)):
            await page("run", script=f"location.hash = '#/camera/{device}'")
            await page("wait", selector="live-view", text="in the network and the browser")
            assert (await page("texts", selector="live-view p"))[0].startswith("Live by WebRTC, ")
            assert is_near(await page.colour(".stage"), colour, within=60)
            await changes(page)
            assert await page("run", script=PICTURES) == 1
        await has_readers(agent, "camera0", 0)  # the page has ended its session
        await has_readers(agent, "camera1", 1)
        assert not [each for each in await page("asked") if each.endswith("live.mjpeg")]
        assert await page("run", script=WITHOUT_CREDENTIALS) == 401
        assert [each for each in await page("asked") if password in each] == []

        if lan.agent is not None and lan.laptop is not None:
            # The page itself comes by TCP and IPv4, and goes on.
            lan.agent.ip(
                "rule add priority 100 ipproto udp blackhole", f"route add blackhole {lan.laptop.v6}/128"
            )
            await shows_by_mjpeg(page, "no picture by WebRTC within 3 s", BLUE)
            await changes(page)
            assert len([each for each in await page("asked") if each.endswith("live.mjpeg")]) == 1
            await has_readers(agent, "camera1", 0)
    if lan.agent is None:
        pytest.skip("WebRTC plays; blocking UDP needs network namespaces")


@pytest.mark.real_mediamtx
async def test_refused_offers_and_media_that_lead_nowhere_end_in_mjpeg(tmp_path: Path, lan: Lan) -> None:
    await needs_h265()
    cameras = [painted(tmp_path, "Red", RED) | {"codec": "h265", "key_interval_s": 0.5}]
    cameras.append(painted(tmp_path, "Blue", BLUE))
    # By default MediaMTX is at loopback: the relay reaches it, and its media leads a browser elsewhere nowhere.
    server, plugins = media_server(), {"enabled": ["ffmpeg_tier"]}
    async with (
        box(cameras, server={"host": lan.address}, media_server=server, plugins=plugins) as agent,
        browser(tmp_path, lan.laptop) as page,
    ):
        await serves_webrtc(agent)
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(2))
        await page("click", selector="camera-tile[data-device=camera0] a")
        await shows_by_mjpeg(page, "the media server refuses the session description", RED)
        assert len([each for each in await page("asked") if each.endswith("/whep")]) == 1
        if lan.laptop is not None:
            await page("run", script="location.hash = '#/camera/camera1'")
            await shows_by_mjpeg(page, "no picture by WebRTC within 3 s", BLUE)
            await changes(page)
    if lan.laptop is None:
        pytest.skip("the refused offer is shown; media that lead nowhere need network namespaces")
