"""The page in Chromium where it is older, earlier or later than what it shows: cameras to come, links, logouts, clocks."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from plugins.web_console.tests.rig import BLUE, RED, SHOWN, box, browser, login_link, painted

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

STORED = "Object.values(sessionStorage)[0].replace('own:', '')"
#: The agent does not answer a logout before `fail()`.
WITHOUT_LOGOUT = """(() => {
    const real = window.fetch;
    window.fetch = (url, options) => options?.method !== 'DELETE' ? real(url, options)
        : new Promise((resolve, reject) => { window.fail = () => reject(new TypeError('Load failed')); });
})()"""
#: What the clock knows after a slow and a quick answer, after the agent's clock was set, and after a picture of the future.
CLOCK = """import('/plugins/web_console/agent_clock.js').then(({ AgentClock }) => {
    const clock = new AgentClock();
    const now = Date.now();
    const told = [];
    const look = () => told.push([clock.offsetMs, clock.since(now + clock.offsetMs + 0.5)]);
    clock.note(now - 1400, now - 600, now + 4000);
    clock.note(now - 510, now - 500, now + 4495);
    clock.note(now - 400, now, now + 4900);
    look();
    clock.note(now - 100, now, now + 89950);
    look();
    told.push(clock.since(now + 1e9));
    return told;
})"""
#: Parts that arrive byte by byte, and in one piece.
PARTS = """import('/plugins/web_console/mjpeg.js').then(async ({ parts }) => {
    const text = '--b\\r\\nContent-Length: 3\\r\\n\\r\\nabc\\r\\n--b\\r\\nContent-Length: 70000\\r\\n\\r\\n' + 'x'.repeat(70000) + '\\r\\n--b\\r\\n';
    const bytes = new TextEncoder().encode(text);
    const found = [];
    for (const step of [1, bytes.length]) {
        let at = 0;
        const reader = {
            read: async () => at >= bytes.length ? { done: true } : { done: false, value: bytes.subarray(at, at += step) },
            cancel: async () => {},
        };
        for await (const { body } of parts(reader)) found.push(body.length);
    }
    return found;
})"""


async def test_a_camera_that_comes_later_appears_on_its_page(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, "Red", RED)]
    async with browser(tmp_path) as page:
        async with box(cameras, tmp_path) as agent:
            port = int(agent.http_url.rpartition(":")[2])
            await page("open", url=login_link(agent))
            await page("until", script=SHOWN.format(1))
            await page("run", script="location.hash = '#/camera/camera1'")
            await page("wait", selector="camera-page .problem", text="There is no such camera.")
        cameras.append(painted(tmp_path, "Blue", BLUE))
        async with box(cameras, tmp_path, server={"port": port}):
            await page("wait", selector="h1", text="Blue")
            await page("wait", selector="live-view p", text="behind the camera")
            await page("click", selector="summary >> text=Capabilities")
            await page("wait", selector="camera-details td", text="320\u00d7240")


async def test_failed_questions_about_a_camera_are_asked_again(tmp_path: Path) -> None:
    async with (
        box([painted(tmp_path, "Red", RED)]) as agent,
        browser(tmp_path) as page,
        agent.client("admin") as client,
    ):
        await page("open", url=login_link(agent))
        await page("until", script=SHOWN.format(1))
        await page(
            "run",
            script="(() => { const tiles = document.querySelector('camera-tiles'); const { agent } = tiles; const real = agent.call;"
            " agent.call = function (method, ...rest) { if (method !== 'get_camera_capabilities' || window.isMended) return real.call(this, method, ...rest);"
            " return Promise.reject(new Error('Out of order.')); }; location.hash = '#/camera/camera0'; })()",
        )
        await page("wait", selector="camera-details", state="attached")
        await page(
            "until", script="document.querySelector('camera-details').textContent.includes('Out of order.')"
        )
        await page("run", script="window.isMended = true")
        for enabled in (True, False):
            await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=enabled)
            await page("wait", selector="h1 .mark", text="Disconnected" if enabled else "Connected")
        await page(
            "until", script="document.querySelector('camera-details').textContent.includes('320\u00d7240')"
        )


async def test_an_old_browser_is_told_so(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=f"{agent.http_url}/")
        await page("wait", selector=".login form")
        await page(
            "run",
            script="(() => { delete AbortSignal.any; const made = document.createElement('script');"
            " made.src = [...document.scripts].find((each) => each.src.endsWith('browser.js')).src; document.body.append(made); })()",
        )
        await page("wait", selector="body > p[role=alert]", text="Safari 17.5")
        assert await page("count", selector="camera-console") == 0


async def test_a_token_that_is_typed_outlives_a_logout_that_fails_late(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        await page("run", script=WITHOUT_LOGOUT)
        await page("click", selector="button >> text=Log out")
        await page("fill", selector="#token", value="half a tok")
        await page("run", script="window.fail()")
        await page("wait", selector=".login .problem", text="could not revoke its token")
        assert await page("run", script="document.querySelector('#token').value") == "half a tok"


async def test_a_link_in_a_tab_that_is_logged_in_replaces_its_token_or_is_told(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        before = await page("run", script=STORED)
        code = login_link(agent, "admin").partition("#")[2]
        await page("run", script=f"location.hash = '#{code}'")
        await page("wait", selector="nav a", text="Settings")
        after = await page("run", script=STORED)
        assert after != before
        status = "fetch('cameras/camera0/snapshot.jpg', {headers: {Authorization: 'Bearer %s'}}).then((each) => each.status)"
        async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
            answer = await http.get(
                "/cameras/camera0/snapshot.jpg", headers={"authorization": f"Bearer {before}"}
            )
            assert answer.status_code == 401
        assert await page("run", script=status % after) == 200

        await page("run", script=f"location.hash = '#{code}'")  # it works once
        await page("wait", selector=".notice", text="The login link was refused")
        assert await page("run", script=STORED) == after
        await page("click", selector="nav a[href='#/health']")
        await page("wait", selector="agent-health")
        assert await page("texts", selector=".notice") == [""]


async def test_the_filter_follows_the_cameras_and_open_questions_stay(tmp_path: Path) -> None:
    async with (
        box([painted(tmp_path, "Red", RED)], plugins={"enabled": ["external_discovery"]}) as agent,
        browser(tmp_path) as page,
        agent.client("operator") as client,
    ):
        for _ in range(2):
            await client.call("take_snapshot", device="camera0", max_age_ms=0)
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/snapshots']")
        await page("until", script="document.querySelectorAll('.files li').length === 2")
        stream = {"stream_url": "rtsp://192.0.2.7/live", "stream_name": "Gate", "verify": False}
        await client.call("add_external_stream", **stream)
        await page("wait", selector="#filter option", text="Gate", state="attached")
        await page("choose", selector="#filter", value="camera0")
        await client.call("remove_external_stream", stream_url=stream["stream_url"])
        await page("wait", selector="#filter option >> text=Gate", state="detached")
        assert await page("run", script="document.querySelector('#filter').value") == "camera0"
        await page("until", script="document.querySelectorAll('.files li').length === 2")
        await page("click", selector=".files button.danger")
        await page("wait", selector="dialog")
        # Focus goes to the question, which must stay as the list does.
        await page("run", script="document.activeElement.blur()")
        await client.call("take_snapshot", device="camera0", max_age_ms=0)
        await page("wait", selector="media-list [role=status]", text="The files have changed")
        assert await page("count", selector=".files li") == 2


async def test_the_quickest_answer_sets_the_clock(tmp_path: Path) -> None:
    async with box([]) as agent, browser(tmp_path) as page:
        await page("open", url=f"{agent.http_url}/")
        told: list[Any] = await page("run", script=CLOCK)
    (quick, below), (later, _), future = told
    assert quick == 5000
    assert below.startswith("less than ")
    assert later == 90000, "what contradicts a newer answer is of before the clock was set"
    assert future == "an unknown time"


async def test_parts_are_found_however_they_arrive(tmp_path: Path) -> None:
    async with box([]) as agent, browser(tmp_path) as page:
        await page("open", url=f"{agent.http_url}/")
        assert await page("run", script=PARTS) == [3, 70000] * 2
