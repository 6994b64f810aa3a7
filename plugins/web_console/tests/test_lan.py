"""The page in Chromium on a computer beside the agent's, at an address that browsers call insecure, with WebRTC and without."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import RunningAgent
from agent_core.testing.mediamtx import find_mediamtx
from plugins.web_console.tests.lan import Lan
from plugins.web_console.tests.rig import (
    BLUE,
    RED,
    SHOWN,
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
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

#: The live view tells its delay.
TOLD_LIVE = "/^Live by (WebRTC, .* in the network|MJPEG, .* behind)/.test(document.querySelector('live-view p')?.textContent)"
#: Live pictures in the page, of either kind, but for a video that has none yet.
PICTURES = "document.querySelectorAll('.stage img, .stage video:not(.waits)').length"

#: Asks the relay for a session, as a page without a login.
WITHOUT_CREDENTIALS = """fetch('cameras/camera0/whep', {
    method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: 'v=0'
}).then(answer => answer.status)"""


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


async def count_mjpeg(page: Browser) -> int:
    return len([each for each in await page("asked") if each.endswith("live.mjpeg")])


async def shows_by_webrtc(page: Browser, device: str) -> None:
    """Open the page of a camera until WebRTC is shown in time; on a slow machine MJPEG may have come before."""
    with anyio.fail_after(90):
        while True:
            before = await count_mjpeg(page)
            await page("run", script=f"location.hash = '#/camera/{device}'")
            await page("until", script=TOLD_LIVE)
            words = str((await page("texts", selector="live-view p"))[0])
            if words.startswith("Live by WebRTC, ") and await count_mjpeg(page) == before:
                return
            assert words.startswith("Live by WebRTC, ") or "no picture by WebRTC within 3 s" in words
            await page("run", script="location.hash = '#/access'")
            await page("wait", selector="live-view", state="detached")


async def shows_by_mjpeg(page: Browser, why: str, colour: Colour) -> None:
    """Wait until MJPEG is shown for this reason, with its delay, and look at the picture."""
    await page("wait", selector="live-view p", text="Live by MJPEG")
    words = (await page("texts", selector="live-view p"))[0]
    assert re.fullmatch(
        rf"Live by MJPEG, because {why}; (less than )?\d[\d.]* m?s behind the camera.*", words
    ), words
    await page(
        "wait", selector="live-view:not([frozen])"
    )  # a frozen picture is dimmed until the next look at it
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
        faults = await page.faults((429, "live.mjpeg"))
        assert [
            each for each in faults if "Cross-Origin-Opener-Policy header has been ignored" not in each
        ] == []
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
            await shows_by_webrtc(page, device)
            assert is_near(await page.colour(".stage"), colour, within=60)
            await changes(page)
            assert await page("run", script=PICTURES) == 1
        await has_readers(agent, "camera0", 0)  # the page has ended its session
        await has_readers(agent, "camera1", 1)
        assert await page("run", script=WITHOUT_CREDENTIALS) == 401
        assert [each for each in await page("asked") if password in each] == []

        if lan.agent is not None and lan.laptop is not None:
            # The page itself comes by TCP and IPv4, and goes on.
            before = await count_mjpeg(page)
            lan.agent.ip(
                "rule add priority 100 ipproto udp blackhole", f"route add blackhole {lan.laptop.v6}/128"
            )
            await shows_by_mjpeg(page, "no picture by WebRTC within 3 s", BLUE)
            await changes(page)
            assert await count_mjpeg(page) == before + 1
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
