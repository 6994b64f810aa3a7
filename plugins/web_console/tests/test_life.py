"""The page in Chromium over what happens to agents, cameras and logins."""

from pathlib import Path

import anyio
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from plugins.web_console.tests.rig import (
    BLUE,
    EMBEDDED,
    LIVE,
    MOVING,
    RED,
    SHOWN,
    box,
    browser,
    is_near,
    login_link,
    needs_h265,
    painted,
    proxy,
)

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]
#: Sources of all pictures of cameras; each new picture has another one.
SOURCES = "[...document.querySelectorAll('camera-tile img')].map((each) => each.src)"


async def test_a_lost_agent_is_shown_and_found_again(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, "Red", RED)]
    # Each agent has a port of its own, and the page keeps its address.
    async with proxy() as front, browser(tmp_path) as page:
        server = {"allowed_origins": [front.origin]}
        async with box(cameras, tmp_path, server=server) as agent:
            front.lead_to(agent.http_url)
            await page("open", url=login_link(agent).replace(agent.http_url, front.url))
            await page("until", script=SHOWN.format(1))
            assert await page("texts", selector=".banner") == [""]
        front.cut()  # another program may get the port
        await page("wait", selector=".banner", text="Trying again")
        cameras.append(painted(tmp_path, "Blue", BLUE))
        async with box(cameras, tmp_path, server=server) as agent:
            front.lead_to(agent.http_url)
            await page("until", script="document.querySelector('.banner').textContent === ''")
            await page("until", script=SHOWN.format(2))
            assert await page("texts", selector="camera-tile .name") == ["Red", "Blue"]


async def test_an_agent_that_refuses_the_address_of_the_page_is_not_called_lost(tmp_path: Path) -> None:
    """The agent knows its addresses, but no name such as `box.local`; browsers tell pages no reason."""
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        base = agent.http_url.replace("127.0.0.1", "box.localhost")
        await page("open", url=login_link(agent).replace(agent.http_url, base))
        await page("wait", selector=".banner", text=f"server.allowed_origins lacks {base}")


async def test_an_address_with_any_word_shows_a_page(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        for word in ("constructor", "__proto__", "%E0%A4%A"):
            await page("wait", selector="main h1", text="Cameras")
            await page(
                "run", script=f"document.querySelector('main').replaceChildren(); location.hash = '#/{word}'"
            )
        await page("wait", selector="main h1", text="Cameras")


async def test_revoked_credentials_lead_to_the_login(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("wall", Role.VIEWER)
        await page("open", url=f"{agent.http_url}/")
        await page("fill", selector="#token", value="not a token")
        await page("press", key="Enter")
        await page("until", script="document.querySelector('.login .problem')?.textContent.length > 0")
        await page("fill", selector="#token", value=key)
        await page("press", key="Enter")
        await page("until", script=SHOWN.format(1))
        assert await page("texts", selector="nav a") == ["Cameras", "Recordings", "Snapshots", "Health"]
        async with agent.client("admin") as client:
            (stored,) = (await client.call("list_api_keys"))["keys"]
            await client.call("revoke_api_key", id=stored["id"])
        await page("wait", selector=".login form")
        assert await page("run", script="sessionStorage.length") == 0


async def test_a_link_logs_in_a_tab_that_shows_the_page_already(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        assert "Settings" not in await page("texts", selector="nav a")
        code = login_link(agent, "admin").partition("#")[2]
        await page("run", script=f"location.hash = '#{code}'")
        await page("wait", selector="nav a", text="Settings")
        assert "login" not in await page("address")


async def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("until", script=SHOWN.format(1))
        focused = "document.activeElement.textContent"
        await page("press", key="Tab")
        assert await page("run", script=focused) == "Skip to content"
        await page("press", key="Enter")
        assert await page("run", script="document.activeElement.id") == "main"
        await page("press", key="Tab")
        assert "Red" in await page("run", script=focused)
        await page("press", key="Enter")
        await page("wait", selector="button", text="Take snapshot")
        while await page("run", script=focused) != "Take snapshot":
            await page("press", key="Tab")
        await page("press", key="Enter")
        await page("wait", selector="[role=status]", text="Snapshot by tier")
        while await page("run", script="document.activeElement.id") != "control-brightness":
            await page("press", key="Tab")
        await page("press", key="ArrowRight")
        await page("wait", selector="camera-controls [role=status]", text="Set.")
        async with agent.client("viewer") as client:
            controls = (await client.call("get_camera_capabilities", device="camera0"))["controls"]
        assert [each["value"] for each in controls if each["name"] == "brightness"] == [1]


async def test_network_streams_are_added_found_and_removed(tmp_path: Path) -> None:
    plugins = {"enabled": ["external_discovery"]}
    async with box([], plugins=plugins) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/external']")
        await page("fill", selector="#stream-url", value="http://192.0.2.7/live")
        await page("fill", selector="#stream-name", value="<b>Gate</b>")
        await page("press", key="Enter")
        await page("wait", selector="external-streams [role=status]", text="no scheme of a stream")
        async with agent.client("operator") as client:
            await client.call(
                "add_external_stream",
                stream_url="rtsp://192.0.2.7/live",
                stream_name="<b>Gate</b>",
                verify=False,
            )
        await page("wait", selector="external-streams td", text="<b>Gate</b>")
        assert await page("axe") == []
        await page("click", selector="external-streams td button")
        await page("click", selector="dialog button.danger")
        await page("until", script="document.querySelectorAll('external-streams td').length === 0")
        assert await page.faults() == []


async def test_an_expired_token_leads_to_the_login(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=f"{agent.http_url}/")
        await page("fill", selector="#token", value=agent.token("viewer", lifetime_s=20))
        await page("press", key="Enter")
        await page("wait", selector="camera-tile")
        await page("wait", selector=".login .problem", text="expired")


async def test_pictures_change_and_a_frozen_camera_looks_frozen(tmp_path: Path) -> None:
    async with box([MOVING]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        first = await page("shot", selector="camera-tile img")
        with anyio.fail_after(40):
            while await page("shot", selector="camera-tile img") == first:
                await anyio.sleep(0.1)
        await page("click", selector="camera-tile a")
        await page("until", script=LIVE)
        first = await page("shot", selector=".stage")
        with anyio.fail_after(40):
            while await page("shot", selector=".stage") == first:
                await anyio.sleep(0.1)
        await page("wait", selector="live-view", text="behind the camera")
        await page("run", script="location.hash = '#/cameras'")
        await page("until", script=SHOWN.format(1))
        assert await page("count", selector="camera-tile[old]") == 0
        async with agent.client("admin") as client:
            await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=True)
        await page("wait", selector="camera-tile[old]", text="old")
        await page("run", script="location.hash = '#/camera/camera0'")
        await page(
            "until", script="/No live view|no picture/.test(document.querySelector('live-view').textContent)"
        )
        async with agent.client("admin") as client:
            await client.call("virtual_camera.set_fault", device="camera0", fault="stall", enabled=False)
        await page("wait", selector="live-view", text="behind the camera")
        async with agent.client("admin") as client:
            await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
            await page("wait", selector="h1 .mark", text="Disconnected")
            await page("wait", selector="live-view", text="The camera is disconnected.")
            await client.call("virtual_camera.set_fault", device="camera0", fault="vanish", enabled=False)
        await page("wait", selector="live-view", text="behind the camera")


async def test_eight_cameras_in_two_tabs(tmp_path: Path) -> None:
    colours = [(25 * number, 100, 255 - 25 * number) for number in range(8)]
    cameras = [painted(tmp_path, f"Camera {number}", each) for number, each in enumerate(colours)]
    for each in cameras:
        each["fps"] = 2
    async with box(cameras) as agent, browser(tmp_path) as page:
        for _ in range(2):
            await page("tab")
            await page("open", url=login_link(agent, "viewer"))
            await page("until", script=SHOWN.format(8))
        for number, colour in enumerate(colours):
            seen = await page.colour(f"camera-tile[data-device=camera{number}] .picture")
            assert is_near(seen, colour), (number, seen)
        # While the second tab gets all its pictures anew, and goes on, so does the first.
        for tab in (1, 2):
            await page("tab", number=tab)
            await page("run", script=f"window.before = {SOURCES}")
        for tab in (2, 1):
            await page("tab", number=tab)
            await page("until", script=f"{SOURCES}.every((each, number) => each !== window.before[number])")
        assert await page.faults() == []


async def test_a_recording_is_made_played_and_deleted(tmp_path: Path) -> None:
    async with box([MOVING], plugins=EMBEDDED) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("until", script=SHOWN.format(1))
        await page("click", selector="camera-tile a")
        await page("click", selector="camera-page > .row button >> text=/^Record$/")
        await page("wait", selector="recording-state", text="on disk")
        await page("wait", selector="h1 .mark.recording")
        await page("run", script="location.hash = '#/recordings'")
        await page("wait", selector=".files .mark.recording")
        assert await page("count", selector=".files button.danger") == 0, "it goes on"
        await page("run", script="location.hash = '#/camera/camera0'")
        await page("click", selector="camera-page button >> text=Stop recording")
        await page("wait", selector="camera-page > .row button >> text=/^Record$/")
        await page("run", script="location.hash = '#/recordings'")
        await page("click", selector=".files button >> text=Play")
        await page("until", script="document.querySelector('video')?.currentTime > 0.2")
        await page("press", key="Escape")
        await page("wait", selector="dialog.player", state="detached")
        await page("click", selector=".files button.danger")
        await page("wait", selector="dialog", text="cannot be undone")
        await page("press", key="Escape")
        assert await page("count", selector=".files li") == 1
        await page("click", selector=".files button.danger")
        await page("click", selector="dialog button.danger")
        await page("wait", selector="media-list", text="There are no recordings.")
        assert await page.faults() == []


async def test_a_recording_that_the_browser_cannot_play_says_so(tmp_path: Path) -> None:
    await needs_h265()
    camera = MOVING | {"codec": "h265", "key_interval_s": 0.5}
    async with box([camera], plugins=EMBEDDED) as agent, browser(tmp_path) as page:
        async with agent.client("operator") as client:
            with anyio.fail_after(60):
                while not (await client.call("get_camera_list"))["cameras"][0]["served"]:
                    await anyio.sleep(0.1)
            await client.call("start_recording", device="camera0", wait=True)
            await client.call("stop_recording", device="camera0")
        await page("open", url=login_link(agent, "viewer"))
        await page("click", selector="nav a[href='#/recordings']")
        await page("click", selector=".files button >> text=Play")
        await page("wait", selector="media-list [role=alert]", text="H.265")
        assert await page("count", selector=".files a[download]") == 1


async def test_it_works_below_a_path_of_a_proxy(tmp_path: Path) -> None:
    async with (
        proxy("/sheds/north") as front,
        box([painted(tmp_path, "Red", RED)], server={"allowed_origins": [front.origin]}) as agent,
        browser(tmp_path) as page,
    ):
        front.lead_to(agent.http_url)
        await page("open", url=login_link(agent).replace(agent.http_url, front.url))
        await page("until", script=SHOWN.format(1))
        await page("click", selector="camera-tile a")
        await page("until", script=LIVE)
        await page("click", selector="text=Take snapshot")
        await page("until", script="document.querySelector('img.taken')?.naturalWidth === 320")
        assert await page.faults() == []

        # What happens while the connection is lost is told when it is mended.
        front.cut()
        await page("wait", selector=".banner", text="Trying again")
        async with agent.client("operator") as client:
            taken = await client.call("take_snapshot", device="camera0", filename="meanwhile")
        front.lead_to(agent.http_url)
        await page("until", script="document.querySelector('.banner').textContent === ''")
        await page("run", script="location.hash = '#/health'")
        await page("wait", selector=".events li", text=taken["filename"])
        assert len([each for each in await page("texts", selector=".events li") if "meanwhile" in each]) == 1
