"""The page in Chromium, with a whole agent."""

from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin import AgentContext, CameraSource, Plugin, Settings, hookimpl
from plugins.web_console.tests.rig import (
    BLUE,
    EVIL,
    FITS,
    RED,
    SHOWN,
    box,
    browser,
    content,
    is_near,
    login_link,
    painted,
)

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

TILE = "camera-tile[data-device={}] .picture"


async def test_a_link_logs_in_once_and_two_cameras_have_their_own_colours(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, "Red", RED), painted(tmp_path, "Blue", BLUE)]
    async with box(cameras) as agent, browser(tmp_path) as page:
        link = login_link(agent)
        await page("open", url=link)
        await page("until", script=SHOWN.format(2))
        assert "login" not in await page("address")
        assert is_near(await page.colour(TILE.format("camera0")), RED)
        assert is_near(await page.colour(TILE.format("camera1")), BLUE)
        assert await page("texts", selector="camera-tile .name") == ["Red", "Blue"]
        stored = await page("run", script="[document.cookie, localStorage.length, sessionStorage.length]")
        assert stored == ["", 0, 1]

        # Unplugged: seen at once, by the event; the other one goes on.
        async with agent.client("admin") as client:
            await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
        await page("wait", selector="camera-tile[data-device=camera0] .mark", text="Disconnected")
        assert await page("count", selector="camera-tile[data-status=CONNECTED]") == 1

        assert await page.faults() == []
        base = agent.http_url
        foreign = [
            each for each in await page("asked") if not each.startswith((base, f"blob:{base}", agent.url))
        ]
        assert foreign == []

        # The link is used up; another tab has no credentials.
        await page("tab")
        await page("open", url=link)
        await page("wait", selector=".login .problem", text="was used before")


class Broken(Plugin[Settings]):
    """Plugin that is not loaded, for a reason that a page could take for HTML."""

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        raise RuntimeError(EVIL)


#: Options of a browser as on a desk, and as on a phone at night.
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 720}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark"}


@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
async def test_names_are_text_and_the_pages_fit_and_pass_axe(tmp_path: Path, options: dict[str, Any]) -> None:
    async with (
        box([painted(tmp_path, EVIL, RED)], others={"broken": Broken}) as agent,
        browser(tmp_path, **options) as page,
    ):
        await page("open", url=f"{agent.http_url}/")
        await page("wait", selector=".login form")
        assert await page("axe") == []
        await page("fill", selector="#token", value=agent.token("admin"))
        await page("press", key="Enter")
        await page("until", script=SHOWN.format(1))
        assert await page("axe") == []
        await page("click", selector="camera-tile a")
        await page("wait", selector="button", text="Take snapshot")
        await page("until", script=content("camera"))
        assert EVIL in (await page("texts", selector="h1"))[0]
        await page("click", selector="text=Take snapshot")
        await page("wait", selector="camera-page", text="Snapshot by tier 0")
        assert await page("axe") == []
        for name in ("recordings", "snapshots", "health", "settings", "access"):
            await page("click", selector=f"nav a[href='#/{name}']")
            await page("wait", selector="nav a[aria-current]", text=name.capitalize())
            await page("wait", selector="main h1", text=name.capitalize())
            await page("until", script=content(name))
            if name == "health":
                await page("wait", selector="agent-health td", text=EVIL)
            assert await page("axe") == [], name
            assert await page("run", script=FITS), name
        await page("click", selector="nav a[href='#/snapshots']")
        await page("wait", selector=".files .name", text=EVIL)
        assert await page("run", script="document.title.startsWith('Snapshots')")
        assert await page.faults() == []


@pytest.mark.parametrize(("role", "offered"), [("viewer", 0), ("operator", 2)])
async def test_what_a_role_may_not_do_is_not_offered(tmp_path: Path, role: str, offered: int) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path, **PHONE) as page:
        await page("open", url=login_link(agent, role))
        await page("until", script=SHOWN.format(1))
        await page("click", selector="camera-tile a")
        await page("wait", selector="camera-controls input[type=range]")
        assert await page("count", selector="camera-page > .row button") == offered
        is_fixed = await page(
            "run", script="document.querySelector('camera-controls input[type=range]').disabled"
        )
        assert is_fixed is (role == "viewer")
        assert await page("run", script=FITS)
        assert await page("axe") == []
        assert await page.faults() == []
