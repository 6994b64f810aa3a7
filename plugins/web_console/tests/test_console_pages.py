"""What people see and do on the console's pages, and what the pages leave behind; all tests share an agent and a browser."""

import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from agent_core.client import AgentClient
from agent_core.testing import RunningAgent
from plugins.web_console.tests.rig import (
    BLUE,
    FITS,
    HIDE,
    LIVE,
    PLACES,
    RED,
    SHOWN,
    SMALL,
    Browser,
    box,
    browser,
    content,
    login_link,
    painted,
)
from plugins.web_console.tests.watch import CALLS, WATCH

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

NAMES = (
    "Garden, the camera behind the shed with a very long name that was never shortened",
    "كاميرا المدخل الرئيسي",
    "Supercalifragilisticexpialidociousunbrokennamewithoutanyspaces0123456789",
)
PAGES = (
    "cameras",
    "camera/camera0",
    "recordings",
    "snapshots",
    "health",
    "external",
    "settings",
    "access",
)
#: Snapshots of camera1 that are there from the start: three pages of the list.
STORED = 120


@dataclass(frozen=True, slots=True)
class Console:
    """Agent with three cameras and many snapshots, and a browser that is logged in as an admin."""

    agent: RunningAgent
    page: Browser

    async def go(self, to: str) -> None:
        """Open a page anew, and wait until it is there."""
        if (await self.page("address")).endswith(f"#/{to}"):
            await self.go("health" if to == "access" else "access")
        await self.page("run", script=f"location.hash = '#/{to}'")
        word = to.partition("/")[0]
        if word == "camera":
            await self.page("wait", selector="camera-page h1")
        else:
            await self.page("wait", selector=f"nav a[href='#/{word}'][aria-current]")
        await self.page("until", script="scrollY === 0")

    async def fault(self, device: str, fault: str, *, enabled: bool) -> None:
        async with self.agent.client("admin") as client:
            await client.call("virtual_camera.set_fault", device=device, fault=fault, enabled=enabled)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def store_snapshots(folder: Path) -> None:
    """Put snapshots where the agent keeps them, each a minute older than the one before."""
    place = folder / "state/snapshots/camera1"
    place.mkdir(parents=True)
    written = io.BytesIO()
    Image.new("RGB", (32, 18), BLUE).save(written, "JPEG")
    for number in range(STORED):
        file = place / f"old-{number:03}.jpg"
        file.write_bytes(written.getvalue())
        at_s = 1_780_000_000 - 60 * number
        os.utime(file, (at_s, at_s))


@pytest.fixture(scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    store_snapshots(folder)
    cameras = [painted(folder, name, RED) for name in NAMES]
    plugins: dict[str, Any] = {"enabled": ["external_discovery"]}
    async with box(cameras, folder, plugins=plugins) as agent, browser(folder) as page:
        await page("open", url=login_link(agent))
        await page("until", script=SHOWN.format(len(NAMES)))
        await page("run", script=WATCH)
        yield Console(agent, page)
        # The live view of a camera that has vanished is refused until it is back.
        assert await page.faults((503, "live.mjpeg")) == []


@pytest.fixture(autouse=True)
async def on_a_desk(console: Console) -> None:
    """Give the page the same size and colours before each test."""
    await console.page("look", width=1280, height=720, scheme="light")


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 800, "light"), (360, 740, "dark"), (640, 400, "light")]
)
async def test_all_pages_can_be_read_and_hit_at_each_size(
    console: Console, width: int, height: int, scheme: str
) -> None:
    page = console.page
    await page("look", width=width, height=height, scheme=scheme)
    for name in PAGES:
        await console.go(name)
        await page("until", script=content(name))
        if name == "camera/camera0":
            await page(
                "run", script="document.querySelectorAll('details').forEach((each) => (each.open = true))"
            )
        assert await page("run", script=SMALL) == [], name
        assert await page("run", script=FITS), name


async def test_pictures_do_not_move_the_page_when_they_come(console: Console) -> None:
    """Pictures are taken away, in one go of the script, because those that come may be there before they are waited for."""
    page = console.page
    for name, shown in (
        ("cameras", "camera-tile img[src^=blob]"),
        ("camera/camera0", ".stage img[src^=blob]"),
        ("snapshots", ".files img"),
    ):
        await console.go(name)
        await page("until", script=content(name))
        await page("until", script=f"document.querySelector('{shown}').naturalWidth > 0")
        places = await page("run", script=PLACES)
        assert len(places[0]) > 2, name
        assert places[1:] == [places[0]] * 2, name
        await console.go("access")


async def test_a_camera_that_hangs_does_not_hold_up_the_others(console: Console) -> None:
    page = console.page
    await console.go("access")
    await page("run", script="Object.assign(watched, { pictures: {}, hanging: 'camera0', givenUp: 0 })")
    try:
        await console.go("cameras")
        # While the first picture of camera0 is waited for, the others get theirs again and again.
        await page("until", script="watched.pictures.camera1 >= 3 && watched.pictures.camera2 >= 3")
        assert await page("run", script="[watched.pictures.camera0, watched.givenUp]") == [1, 0]
        # Leaving the page gives it up.
        await console.go("access")
        await page("until", script="watched.givenUp === 1")
    finally:
        await page("run", script="watched.hanging = ''")


async def test_a_hidden_page_asks_for_nothing(console: Console) -> None:
    page = console.page
    await console.go("cameras")
    await page("until", script="watched.pictures.camera1 > 0")
    await page("run", script=HIDE % "hidden")
    # Another tab that can be seen goes on meanwhile.
    await page("tab")
    try:
        await page("open", url=login_link(console.agent, "viewer"))
        await page("until", script=SHOWN.format(len(NAMES)))
        await page("run", script=WATCH)
        await page("tab", number=0)
        asked = await page("run", script="JSON.stringify(watched.pictures)")
        calls = await page("run", script=CALLS)
        await page("tab", number=1)
        await page("until", script="watched.pictures.camera1 >= 3")
        await page("run", script="location.hash = '#/access'")
        await page("tab", number=0)
        assert await page("run", script="JSON.stringify(watched.pictures)") == asked
        assert await page("run", script=CALLS) == calls
    finally:
        await page("shut")
        await page("run", script=HIDE % "visible")
    await page("until", script=f"JSON.stringify(watched.pictures) !== {asked!r}")


async def test_pictures_are_freed(console: Console) -> None:
    """Also those that are still being decoded when their page is left."""
    page = console.page
    await console.go("access")
    await page("until", script="watched.urls.size <= 1")
    await page("run", script="Object.assign(watched, { most: 0, made: 0, isSlow: true })")
    try:
        for _ in range(3):
            made = await page("run", script="watched.made")
            await console.go("cameras")
            await page("until", script=f"watched.made > {made}")
            await console.go("access")
            made = await page("run", script="watched.made")
            await console.go("camera/camera0")
            await page("until", script=f"watched.made > {made + 3}")
            await console.go("access")
        await page("until", script="watched.urls.size <= 1")
        # Each tile shows one, and each may be decoding the next one.
        assert await page("run", script=f"watched.most <= {2 * len(NAMES) + 1}")
    finally:
        await page("run", script="watched.isSlow = false")


async def test_leaving_a_page_ends_its_subscription_even_before_it_is_made(console: Console) -> None:
    page = console.page
    await console.go("access")
    count = "watched.calls.filter((each) => each === '{}').length"
    subscribed = await page("run", script=count.format("subscribe_events"))
    ended = await page("run", script=count.format("unsubscribe_events"))
    await page(
        "run",
        script="""new Promise((resolve) => {
          addEventListener("hashchange", () => { location.hash = "#/access"; resolve(); }, { once: true });
          location.hash = "#/external";
        })""",
    )
    await page("until", script=f"{count.format('subscribe_events')} > {subscribed}")
    await page("until", script=f"{count.format('unsubscribe_events')} > {ended}")
    await page("wait", selector="nav a[href='#/access'][aria-current]")


async def test_two_presses_do_a_thing_once_and_keep_the_focus(console: Console) -> None:
    page = console.page
    asked = "watched.calls.filter((each) => each === '{}').length"
    snapshots = await page("run", script=asked.format("take_snapshot"))
    streams = await page("run", script=asked.format("add_external_stream"))
    await console.go("camera/camera0")
    await page("wait", selector="camera-page button", text="Take snapshot")
    await page(
        "run",
        script="""(() => {
          const button = [...document.querySelectorAll("camera-page button")].find((each) => each.textContent === "Take snapshot");
          button.focus();
          button.click();
          button.click();
        })()""",
    )
    assert await page("run", script="document.activeElement.textContent") == "Take snapshot"
    await page("wait", selector="camera-page [role=status]", text="Snapshot by tier")
    assert await page("run", script="document.activeElement.textContent") == "Take snapshot"
    assert await page("run", script=asked.format("take_snapshot")) == snapshots + 1

    await console.go("external")
    await page("fill", selector="#stream-url", value="http://192.0.2.7/live")
    await page("fill", selector="#stream-name", value="Gate")
    await page(
        "run",
        script="(({ form }) => (form.requestSubmit(), form.requestSubmit()))(document.querySelector('#stream-url'))",
    )
    await page("wait", selector="external-streams [role=status]", text="no scheme of a stream")
    assert await page("run", script=asked.format("add_external_stream")) == streams + 1


async def test_a_long_list_is_shown_in_parts_without_gaps(console: Console) -> None:
    page = console.page
    await console.go("access")
    await console.go("snapshots")
    await page("wait", selector="media-list", text="the newest 50 are shown")
    # A filter that is set while more files are asked for begins the list anew.
    await page(
        "run",
        script="""(() => {
          [...document.querySelectorAll("media-list button")].find((each) => each.textContent === "Show more").click();
          const filter = document.querySelector("#filter");
          filter.value = "camera1";
          filter.dispatchEvent(new Event("change"));
        })()""",
    )
    await page("wait", selector="media-list [role=status]", text=f"{STORED} snapshots, the newest 50")
    for shown in (100, STORED):
        await page("click", selector="media-list button >> text=Show more")
        await page("until", script=f"document.querySelectorAll('.files li').length === {shown}")
        name = f"old-{shown - (shown - 1) % 50 - 1:03}"
        focused = "document.activeElement.closest('li')?.textContent ?? ''"
        assert name in await page("run", script=focused), "the first of those that were added"
    assert len(set(await page("texts", selector=".files .filename"))) == STORED


async def test_a_file_is_shown_in_a_dialog_that_gives_the_focus_back(console: Console) -> None:
    page = console.page
    await console.go("access")
    await console.go("snapshots")
    await page("wait", selector=".files button")
    await page("run", script="document.querySelector('.files button').focus()")
    await page("press", key="Enter")
    await page("until", script="document.querySelector('dialog.player img')?.naturalWidth > 0")
    assert await page("axe") == []
    label = await page("run", script="document.querySelector('dialog.player').ariaLabel")
    assert label.startswith("Snapshot of ")
    await page("press", key="Escape")
    await page("wait", selector="dialog", state="detached")
    assert await page("run", script="document.activeElement === document.querySelector('.files button')")
    times = await page(
        "run",
        script="[...document.querySelectorAll('.files time')].map((each) => [each.dateTime, each.title])",
    )
    assert all(exact and moment.startswith("20") for moment, exact in times)


async def test_numbers_that_are_read_keep_their_place(console: Console) -> None:
    """Health is looked at anew every few seconds: only what differs is changed."""
    page = console.page
    await console.go("health")
    await page("wait", selector="agent-health dt", text="Running for")
    running = "[...document.querySelectorAll('agent-health dt')].find((each) => each.textContent === 'Running for').nextSibling.textContent"
    before = await page("run", script=running)
    await page(
        "run",
        script="(() => { window.cell = document.querySelector('agent-health td'); getSelection().selectAllChildren(cell); })()",
    )
    await page("until", script=f"{running} !== {before!r}")
    assert await page("run", script="cell.isConnected && getSelection().toString() === cell.textContent")


async def test_what_is_wrong_with_cameras_is_told_where_people_look(console: Console) -> None:
    page = console.page
    await console.go("health")
    await page("wait", selector="agent-health", text="There are no problems.")
    await console.go("cameras")
    await page("wait", selector="camera-tiles [role=status]", text="3 cameras")
    await console.fault("camera2", "vanish", enabled=True)
    try:
        await page("wait", selector="camera-tiles [role=status]", text="1 disconnected")
        await page("wait", selector="camera-tile[data-device=camera2] .over", text="vanish")
        await console.go("health")
        await page("wait", selector="agent-health .problem a[href='#/camera/camera2']")
        await page("click", selector="agent-health .problem a")
        await page("wait", selector="live-view .over", text="Disconnected")
    finally:
        await console.fault("camera2", "vanish", enabled=False)
    await page("until", script=LIVE)


async def test_settings_show_the_limit_of_their_kind_and_ask_before_they_delete(console: Console) -> None:
    page = console.page
    await console.go("settings")
    shown = "[...document.querySelectorAll('#days, #gigabytes')].filter((each) => each.checkVisibility()).map((each) => each.id)"
    for kind, fields in (("size", ["gigabytes"]), ("manual", ["days", "gigabytes"]), ("age", ["days"])):
        await page(
            "run",
            script=f"((each) => (each.value = '{kind}', each.dispatchEvent(new Event('change'))))(document.querySelector('#policy'))",
        )
        assert await page("run", script=shown) == fields
    await page("click", selector="button >> text=Delete now")
    await page("wait", selector="dialog", text="cannot be undone")
    await page("press", key="Escape")
    await page("wait", selector="dialog", state="detached")
    assert "cleanup_old_files" not in await page("run", script="watched.calls")


async def test_a_question_is_withdrawn_when_its_page_is_left(console: Console) -> None:
    page = console.page
    await console.go("settings")
    await page("click", selector="button >> text=Delete now")
    await page("wait", selector="dialog", text="cannot be undone")
    await console.go("health")
    await page("wait", selector="dialog", state="detached")
    assert "cleanup_old_files" not in await page("run", script="watched.calls")


async def brightness(client: AgentClient) -> int:
    controls = (await client.call("get_camera_capabilities", device="camera1"))["controls"]
    (value,) = (each["value"] for each in controls if each["name"] == "brightness")
    return int(value)


async def test_a_key_that_is_held_on_a_slider_sends_the_last_value(console: Console) -> None:
    page = console.page
    await console.go("camera/camera1")
    await page("wait", selector="#control-brightness")
    async with console.agent.client("operator") as client:
        await client.call("set_camera_controls", device="camera1", controls={"brightness": 0})
    await page("until", script="document.querySelector('#control-brightness').value === '0'")
    sent = "watched.calls.filter((each) => each === 'set_camera_controls').length"
    before = await page("run", script=sent)
    await page(
        "run",
        script="""((slider) => {
          for (let value = 1; value <= 20; value += 1) {
            slider.value = value;
            slider.dispatchEvent(new Event("change"));
          }
        })(document.querySelector("#control-brightness"))""",
    )
    async with console.agent.client("viewer") as client:
        with anyio.fail_after(40):
            while await brightness(client) != 20:
                await anyio.sleep(0.05)
    assert await page("run", script=sent) == before + 2, "the first, and the last that was wished meanwhile"


async def test_a_camera_leads_to_its_files_and_fills_the_screen(console: Console) -> None:
    page = console.page
    await console.go("camera/camera1")
    await page("click", selector="live-view button >> text=Full screen")
    await page("until", script="document.fullscreenElement?.className === 'stage'")
    await page("run", script="document.exitFullscreen()")
    await page("click", selector="camera-page a >> text=Its snapshots")
    await page("wait", selector="media-list [role=status]", text=f"{STORED} snapshots")
    assert await page("run", script="document.querySelector('#filter').value") == "camera1"
    assert len(set(await page("texts", selector=".files .name"))) == 1
