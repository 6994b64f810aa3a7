"""The live view in Chromium, which is given the habits of other browsers, slow relays and stalled cameras."""

from pathlib import Path
from typing import Any

import pytest

from plugins.web_console.tests.rig import RED, SHOWN, Browser, box, browser, is_near, login_link, painted
from plugins.web_console.tests.test_lan import has_readers, media_server, serves_webrtc

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

#: WebKit gives scripts no answer of this type.
AS_WEBKIT = """(() => {
    const real = window.fetch;
    window.fetch = async (...given) => {
        const answer = await real(...given);
        if (!answer.headers.get('content-type').startsWith('multipart/x-mixed-replace')) return answer;
        answer.body.cancel();
        throw new TypeError('Load failed');
    };
})()"""
#: A proxy cuts off each live view.
WITHOUT_MJPEG = """(() => {
    const real = window.fetch;
    window.fetch = async (url, ...rest) => {
        if (url.endsWith('live.mjpeg')) throw new TypeError('Load failed');
        return real(url, ...rest);
    };
})()"""
#: The relay answers late, as while the media server starts a stream; `relayed` has the requests to it.
SLOW_RELAY = """(() => {
    const real = window.fetch;
    window.relayed = [];
    window.fetch = async (url, options) => {
        if (url.includes('/whep')) window.relayed.push([options.method, options.headers.Authorization]);
        if (url.endsWith('/whep')) await new Promise((resolve) => setTimeout(resolve, 5000));
        return real(url, options);
    };
})()"""
#: Answers of the media server lead to no media.
WITHOUT_MEDIA = "RTCPeerConnection.prototype.setRemoteDescription = async () => {}"
#: Whether each video was in the page when it got its stream: Safari loads no others.
WATCHED_VIDEOS = """(() => {
    const real = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'srcObject');
    window.given = [];
    Object.defineProperty(HTMLMediaElement.prototype, 'srcObject', {...real, set(stream) {
        if (stream !== null) window.given.push(this.isConnected && this.closest('.stage') !== null && this.muted);
        real.set.call(this, stream);
    }});
})()"""
#: Keeps what the live view has told, in order.
KEPT_WORDS = """(() => {
    window.told = [];
    const words = document.querySelector('live-view .below p');
    new MutationObserver(() => words.textContent && window.told.push(words.textContent)).observe(words, {childList: true});
})()"""


async def open_camera(page: Browser) -> None:
    await page("run", script="location.hash = '#/camera/camera0'")
    await page("wait", selector="live-view", state="attached")


async def test_a_browser_that_gives_scripts_no_multipart_shows_mjpeg(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await page("run", script=AS_WEBKIT)
        await open_camera(page)
        await page("wait", selector="live-view p", text="behind the camera")
        assert (await page("texts", selector="live-view p"))[0].startswith("Live by MJPEG, ")
        assert is_near(await page.colour(".stage"), RED)


async def test_where_no_mjpeg_comes_through_there_are_single_pictures_and_the_reason(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await page("run", script=WITHOUT_MJPEG)
        await open_camera(page)
        await page("wait", selector="live-view p", text="pictures per second")
        words = (await page("texts", selector="live-view p"))[0]
        assert words.startswith("Single pictures one after the other, because this browser or a proxy"), words
        assert "(Load failed)" in words
        assert is_near(await page.colour(".stage"), RED)


async def test_the_reason_of_a_failed_attempt_stays_until_there_is_a_picture(tmp_path: Path) -> None:
    async with (
        box([painted(tmp_path, "Red", RED)]) as agent,
        browser(tmp_path) as page,
        agent.client("admin") as client,
    ):
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await open_camera(page)
        await page("wait", selector="live-view p", text="behind the camera")
        await page("run", script=KEPT_WORDS)
        await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=True)
        await page("wait", selector="live-view p", text="No live view: ")
        await page("until", script="window.told.some((each) => /No live view: (?!The agent)/.test(each))")
        assert await page("texts", selector="live-view .over") == ["No live view"]
        await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=False)
        await page("wait", selector="live-view p", text="behind the camera")
        told: list[str] = await page("run", script="window.told")
        failed = next(number for number, each in enumerate(told) if each.startswith("No live view"))
        since = [each for each in told[failed:] if not each.startswith("Live by")]
        assert any("has sent no picture for" in each for each in told[:failed]), told
        assert all(each.startswith("No live view: ") for each in since), told


@pytest.mark.real_mediamtx
async def test_webrtc_without_media_leaves_the_only_place_to_mjpeg(tmp_path: Path) -> None:
    async with (
        box(
            [painted(tmp_path, "Red", RED)],
            media_server=media_server(),
            plugins={"enabled": ["ffmpeg_tier"]},
            views={"max_live_per_address": 1},
        ) as agent,
        browser(tmp_path) as page,
    ):
        await serves_webrtc(agent)
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await page("run", script=WITHOUT_MEDIA)
        await open_camera(page)
        await page("wait", selector="live-view p", text="because no picture by WebRTC within 3 s")
        assert is_near(await page.colour(".stage"), RED)


@pytest.mark.real_mediamtx
async def test_webrtc_that_comes_late_replaces_mjpeg_and_ends_with_the_login(tmp_path: Path) -> None:
    cameras: list[dict[str, Any]] = [painted(tmp_path, "Red", RED) | {"codec": "h264", "key_interval_s": 0.5}]
    async with (
        box(cameras, media_server=media_server(), plugins={"enabled": ["ffmpeg_tier"]}) as agent,
        browser(tmp_path) as page,
    ):
        await serves_webrtc(agent)
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await page("run", script=SLOW_RELAY)
        await page("run", script=WATCHED_VIDEOS)
        await open_camera(page)
        await page("wait", selector="live-view p", text="because no picture by WebRTC within 3 s")
        await page("wait", selector="live-view p", text="Live by WebRTC, ")
        assert await page("run", script="window.given") == [True]
        assert await page("run", script="document.querySelectorAll('.stage img, .stage video').length") == 1
        assert is_near(await page.colour(".stage"), RED, within=60)
        assert "camera and media server add theirs" in (await page("texts", selector="live-view p"))[0]
        await has_readers(agent, "camera0", 1)

        token = await page("run", script="Object.values(sessionStorage)[0].replace('own:', '')")
        await page("click", selector="button >> text=Log out")
        await page("wait", selector=".login form")
        await has_readers(agent, "camera0", 0)
        used = [f"Bearer {token}"] * 2
        assert await page("run", script="window.relayed") == [["POST", used[0]], ["DELETE", used[1]]]
