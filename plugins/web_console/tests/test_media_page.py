"""Lists of snapshots and recordings, in Chromium."""

import shutil
from pathlib import Path

import httpx
import pytest

from agent_core.testing import RunningAgent
from plugins.web_console.tests.rig import (
    BLUE,
    EVIL,
    RED,
    THUMBNAILS,
    Browser,
    box,
    browser,
    login_link,
    painted,
)

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

ITEMS = "document.querySelectorAll('.files li').length === {}"


async def open_snapshots(page: Browser, agent: RunningAgent, count: int) -> None:
    """Log in, and open the list, which has this number of files."""
    await page("open", url=login_link(agent))
    await page("click", selector="nav a[href='#/snapshots']")
    await page("until", script=ITEMS.format(count))


async def test_snapshots_are_listed_filtered_and_shown(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, "Red", RED), painted(tmp_path, "Blue", BLUE)]
    async with (
        box(cameras) as agent,
        browser(tmp_path) as page,
        agent.client("operator") as client,
    ):
        for device in ("camera0", "camera0", "camera1"):
            await client.call("take_snapshot", device=device, max_age_ms=0)
        folder = agent.folder / "state/snapshots/camera1"
        shutil.copy(next(folder.glob("*.jpg")), folder / f"{EVIL}.jpg")
        await open_snapshots(page, agent, 4)
        await page("until", script=THUMBNAILS.format(4))
        assert len(await page("texts", selector="media-list h2")) in (1, 2), "by day; midnight may come"
        assert [EVIL in each for each in await page("texts", selector=".filename")].count(True) == 1
        assert await page("axe") == []

        await page("choose", selector="#filter", value="camera1")
        await page("until", script=ITEMS.format(2))
        assert set(await page("texts", selector=".files .name")) == {"Blue"}
        await client.call("take_snapshot", device="camera1", filename="newest", max_age_ms=0)
        await page("until", script=ITEMS.format(3))
        assert "newest.jpg" in (await page("texts", selector=".filename"))[0], "the newest is the first"

        address = await page("run", script="document.querySelector('a[download]').href")
        async with httpx.AsyncClient(timeout=30) as http:
            got = await http.get(address)
        assert (got.status_code, got.headers["content-type"]) == (200, "image/jpeg")
        await page("click", selector=".files button >> text=Show")
        await page("until", script="document.querySelector('dialog img').naturalWidth === 320")
        await page("press", key="Escape")
        await page("wait", selector="dialog", state="detached")
        assert await page("run", script="document.title.startsWith('Snapshots')")
        assert await page.faults() == []


async def test_a_snapshot_is_deleted_once_that_is_confirmed(tmp_path: Path) -> None:
    async with (
        box([painted(tmp_path, "Red", RED)]) as agent,
        browser(tmp_path) as page,
        agent.client("operator") as client,
    ):
        for name in ("older", "newest"):
            await client.call("take_snapshot", device="camera0", filename=name, max_age_ms=0)
        await open_snapshots(page, agent, 2)
        for key in ("Escape", "Enter"):  # the button that keeps the file has the focus
            await page("click", selector=".files li:first-child button.danger")
            await page("wait", selector="dialog", text="newest.jpg")
            await page("press", key=key)
            await page("wait", selector="dialog", state="detached")
            assert await page("count", selector=".files li") == 2
        await page("click", selector=".files li:first-child button.danger")
        await page("click", selector="dialog button.danger")
        await page("until", script=ITEMS.format(1))
        listed = str((await client.call("list_snapshots", device="camera0"))["files"])
        assert "newest.jpg" not in listed
        assert "older.jpg" in listed
        assert await page.faults() == []


async def test_a_script_in_the_page_does_nothing(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("wait", selector="camera-tile")
        script = "(() => { const made = document.createElement('script'); made.textContent = 'window.hit = 1'; document.body.append(made); return window.hit ?? null; })()"
        assert await page("run", script=script) is None
        handler = "(() => { const made = document.createElement('div'); made.setAttribute('onclick', 'window.hit = 1'); document.body.append(made); made.click(); return window.hit ?? null; })()"
        assert await page("run", script=handler) is None
        noticed = await page("noticed")
        assert len(noticed) == 2
        assert all("Content Security Policy" in each for each in noticed)
