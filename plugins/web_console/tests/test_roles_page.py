"""Offers of each page to each role, in Chromium."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import CallFailed
from agent_core.testing import RunningAgent
from plugins.web_console.tests.rig import RED, Browser, box, browser, content, login_link, painted

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

#: What can be done in the page, by its words; everyone may copy addresses and fill the screen.
OFFERS = """[...document.querySelectorAll("main button, main input, main select, main a[download]")]
  .filter((each) => !each.disabled && !each.readOnly && !(each.ariaLabel ?? "").startsWith("Copy"))
  .filter((each) => each.textContent !== "Full screen")
  .map((each) => each.id || each.textContent || each.type)"""
NAVIGATION = ["Cameras", "Recordings", "Snapshots", "Health", "Network streams"]
PAGES = ("cameras", "camera/camera0", "recordings", "snapshots", "health", "external", "settings", "access")
STREAM = "rtsp://192.0.2.7/live"
KEEP = ["filter", "Refresh"]
ADD = ["Search the networks", "search-cameras", "Remove"]
FIELDS = ["stream-url", "stream-name", "stream-user", "stream-password", "Add"]
TAKE = ["Take snapshot", "Record", "number"]
CONTROLS = [f"control-{each}" for each in ("brightness", "contrast", "saturation", "auto_exposure")]
DELETION = ["policy", "days", "gigabytes", "enabled", "Save"]

#: Offers by role and page; a page that is not named offers nothing.
WANTED: dict[str, dict[str, list[str]]] = {
    "viewer": {"recordings": KEEP, "snapshots": [*KEEP, "Show", "Download"]},
    "operator": {
        "camera/camera0": [*TAKE, *CONTROLS, "Reset all", "Make a view link"],
        "recordings": KEEP,
        "snapshots": [*KEEP, "Show", "Download"],
        "external": [*ADD, *FIELDS],
    },
    "admin": {
        "camera/camera0": [*TAKE, *CONTROLS, "Reset all", "Make a view link"],
        "recordings": KEEP,
        "snapshots": [*KEEP, "Show", "Download", "Delete"],
        "external": [*ADD, *FIELDS],
        "settings": [
            *DELETION,
            "Delete now what the limits exclude",
            "interval",
            "Save",
            "Read the configuration again",
        ],
        "access": ["Revoke", "key-user", "key-role", "key-days", "Make an API key", "Revoke"],
    },
}


async def prepare(agent: RunningAgent) -> None:
    async with agent.client("admin") as client:
        await client.call("take_snapshot", device="camera0")
        await client.call("create_view_link", device="camera0")
        await client.call("create_api_key", user="wall", role="viewer")
        await client.call("add_external_stream", stream_url=STREAM, stream_name="Gate", verify=False)


async def offers(page: Browser, name: str) -> list[str]:
    """Go to a page; return what it offers once all of it is there."""
    await page("run", script=f"location.hash = '#/{name}'")
    await page("until", script=content(name))
    found: list[str] = await page("run", script=OFFERS)
    return found


async def test_each_page_offers_what_the_role_may_do_and_no_more(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "auth": {"keys_over_network": True},
        "plugins": {"enabled": ["external_discovery"]},
    }
    async with box([painted(tmp_path, "Red", RED)], **config) as agent, browser(tmp_path) as page:
        await prepare(agent)
        more = {"viewer": [], "operator": ["Access"], "admin": ["Settings", "Access"]}
        for role, wanted in WANTED.items():
            await page("open", url="about:blank")
            await page("open", url=login_link(agent, role))
            await page("wait", selector="camera-tile")
            assert await page("texts", selector="nav a") == [*NAVIGATION, *more[role]], role
            for name in PAGES:
                # By its address, too: a link of an admin may be opened by anyone.
                assert await offers(page, name) == wanted.get(name, []), (role, name)
                if name == "health" and role == "admin":
                    await page("wait", selector="agent-health .facts")
                elif name == "health":
                    await page("wait", selector="agent-health p", text="for users with the role admin")
                    assert await page("count", selector="agent-health .facts") == 0
        assert await page.faults() == []


async def test_a_tab_whose_token_has_ended_asks_for_another_and_shows_nothing(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "operator"))
        await page("wait", selector="camera-tile")
        await page("run", script="location.hash = '#/snapshots'")
        await page("wait", selector="media-list")
        ended = agent.token("operator", lifetime_s=1)
        with anyio.fail_after(30):
            async with agent.client(None) as client:
                while True:
                    try:
                        await client.call("authenticate", auth_token=ended)
                    except CallFailed as error:
                        assert error.reason == "token_expired"
                        break
                    await anyio.sleep(0.1)
        await page("run", script=f"sessionStorage.setItem(sessionStorage.key(0), '{ended}')")
        await page("run", script="location.reload()")
        await page("wait", selector=".login .problem", text="expired")
        assert await page("count", selector="media-list, nav a") == 0
        assert await page("run", script="sessionStorage.length") == 0
