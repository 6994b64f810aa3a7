"""Pictures of the console for the documents, made from an agent that runs: what they show, and what they must not.

`scripts/screenshots` makes those in docs/images anew.
"""

import base64
import io
import json
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from agent_core.testing import RunningAgent
from plugins.web_console.tests.rig import EMBEDDED, Browser, Colour, box, browser, is_near, login_link
from plugins.web_console.tests.scenes import WORKSHOP, YARD, Scene

#: A browser and an agent beside other tests.
pytestmark = pytest.mark.timeout(150)

ROOT = Path(__file__).parents[3]
#: Where the documents have their pictures, and the limit of each: every clone carries them.
IMAGES = ROOT / "docs/images"
LIMIT_BYTES = 100_000
PAGES = ROOT / "plugins/web_console/src/web_console/static"
#: Folder that the pictures are written to in addition, by scripts/screenshots.
KEPT = "CAMERA_AGENT_SCREENSHOTS"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: the page's size and colours, how to come to what it shows, and where cameras are on it."""

    name: str
    width: int
    height: int
    scheme: str
    go: Callable[[Browser], Awaitable[None]]
    #: Elements with a camera's picture, and the scene before that camera.
    scenes: tuple[tuple[str, Scene], ...] = ()

    @property
    def file_name(self) -> str:
        return f"console-{self.name}.webp"


TILES = (
    ("camera-tile[data-device=camera0] .picture", YARD),
    ("camera-tile[data-device=camera1] .picture", WORKSHOP),
)
FRONT_YARD = ".files li:has([aria-label^='Play Front yard']) .picture"
FILES = "[...document.querySelectorAll('.files img')].filter(each => each.naturalWidth > 0).length"


async def tiles(page: Browser) -> None:
    await page("run", script="location.hash = '#/cameras'")
    await page("until", script="document.querySelectorAll('camera-tile img[src^=blob]').length === 2")
    await page("wait", selector="camera-tile .mark.recording")


async def live(page: Browser) -> None:
    await page("run", script="location.hash = '#/camera/camera1'")
    await page("wait", selector="live-view", text="pictures per second")
    await page("wait", selector="recording-state", text="on disk")
    await page("wait", selector="camera-controls input[type=range]")


async def recordings(page: Browser) -> None:
    await page("run", script="location.hash = '#/recordings'")
    await page("wait", selector=".files .mark.recording")
    await page("until", script=f"{FILES} === 3")


async def health(page: Browser) -> None:
    await page("run", script="location.hash = '#/health'")
    await page("wait", selector="agent-health table", text="p50")
    await page("wait", selector=".events li", text="Snapshot")


SHOTS = (
    Shot("tiles", 1100, 520, "light", tiles, TILES),
    Shot("dark", 1100, 520, "dark", tiles, TILES),
    Shot("phone", 390, 800, "light", tiles, TILES),
    Shot("recordings", 1100, 620, "light", recordings, ((FRONT_YARD, YARD),)),
    Shot("health", 1100, 980, "light", health),
    Shot("camera", 1100, 700, "light", live, ((".stage", WORKSHOP),)),
)

#: Words that people see, and values of fields.
WORDS = "document.body.innerText + [...document.querySelectorAll('input:not([type=range])')].map(each => each.value)"


async def prepared(agent: RunningAgent) -> None:
    """Let both cameras have a recording of two seconds, and one record."""
    async with agent.client("operator") as client:
        with anyio.fail_after(60):
            while not all(each["served"] for each in (await client.call("get_camera_list"))["cameras"]):
                await anyio.sleep(0.1)
            for device in ("camera0", "camera1"):
                await client.call("start_recording", device=device, duration=2, wait=True)
            while any(each["is_recording"] for each in (await client.call("get_camera_list"))["cameras"]):
                await anyio.sleep(0.1)
        await client.call("start_recording", device="camera1", wait=True)


async def taken(page: Browser, shot: Shot, secrets: list[str]) -> tuple[Image.Image, bytes]:
    """Return the picture, and the same as a file for the documents."""
    await page("look", width=shot.width, height=shot.height, scheme=shot.scheme)
    await shot.go(page)
    words = (await page("run", script=WORDS)).lower()
    assert [each for each in secrets if each.lower() in words] == []
    with Image.open(io.BytesIO(base64.b64decode(await page("shot")))) as opened:
        picture = opened.convert("RGB")
    for selector, scene in shot.scenes:
        seen = await place(page, selector, *scene.place)
        assert is_near(colour(picture, seen), scene.colour), (shot.name, selector, colour(picture, seen))
    written = io.BytesIO()
    picture.save(written, "webp", quality=88, method=6)
    return picture, written.getvalue()


async def place(page: Browser, selector: str, x: float, y: float) -> tuple[int, int]:
    """Return the pixel of a place of an element; 0 is left or top, 1 right or bottom."""
    left, top, width, height = await page(
        "run",
        script=f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())",
    )
    return round(left + x * width), round(top + y * height)


def colour(picture: Image.Image, at: tuple[int, int]) -> Colour:
    found = picture.getpixel(at)
    assert isinstance(found, tuple)
    red, green, blue = found
    return int(red), int(green), int(blue)


def corner(picture: Image.Image) -> int:
    """Return the brightness of the page itself, 0 to 255."""
    return sum(colour(picture, (picture.width - 3, picture.height - 3))) // 3


def host_names() -> list[str]:
    """Return this machine's name, unless it is a word of the page, such as camera."""
    name = socket.gethostname()
    pages = "".join(each.read_text() for each in PAGES.glob("*.js"))
    return [] if name.lower() in pages.lower() else [name]


@pytest.mark.browser
async def test_they_show_the_cameras_and_nothing_of_this_machine(tmp_path: Path) -> None:
    cameras = [YARD.settings(tmp_path), WORKSHOP.settings(tmp_path)]
    options: dict[str, Any] = {"locale": "en-GB", "timezone_id": "UTC"}
    async with box(cameras, plugins=EMBEDDED) as agent, browser(tmp_path, **options) as page:
        await prepared(agent)
        await page("open", url=login_link(agent))
        await tiles(page)
        async with agent.client("operator") as client:
            for device in ("camera0", "camera1"):
                await client.call("take_snapshot", device=device)
        token = await page("run", script="sessionStorage.getItem(sessionStorage.key(0))")
        secrets = [token, str(agent.folder), str(tmp_path), str(ROOT), str(Path.home()), *host_names()]
        for shot in SHOTS:
            picture, data = await taken(page, shot, [each for each in secrets if len(each) > 2])
            assert picture.size == (shot.width, shot.height)
            assert len(data) < LIMIT_BYTES, shot.name
            assert (corner(picture) < 80) is (shot.scheme == "dark")
            folders = [tmp_path, *([Path(os.environ[KEPT])] if os.environ.get(KEPT) else [])]
            for folder in folders:
                (folder / shot.file_name).write_bytes(data)
        assert await page.faults() == []


def test_the_documents_have_these_pictures_and_show_each() -> None:
    assert {each.name for each in IMAGES.iterdir()} == {each.file_name for each in SHOTS}
    documents = (ROOT / "README.md", ROOT / "docs/views.md", ROOT / "plugins/web_console/README.md")
    text = "".join(each.read_text() for each in documents)
    for shot in SHOTS:
        file = IMAGES / shot.file_name
        assert file.stat().st_size < LIMIT_BYTES
        with Image.open(file) as picture:
            assert (picture.format, picture.size) == ("WEBP", (shot.width, shot.height))
            assert dict(picture.getexif()) == {}
        assert f"images/{shot.file_name})" in text


async def test_the_script_that_makes_them_fails_where_no_browser_is(tmp_path: Path) -> None:
    script, runner = ROOT / "scripts/screenshots", ROOT / ".venv/bin/pytest"
    if not runner.exists():
        pytest.skip("no .venv here: `make` makes it")
    for each in ("bash", "dirname", "ls", "mktemp", "rm"):
        found = shutil.which(each)
        assert found is not None
        (tmp_path / each).symlink_to(found)
    with anyio.fail_after(100):
        done = await anyio.run_process([str(script)], env=os.environ | {"PATH": str(tmp_path)}, check=False)
    assert (done.returncode, b"no pictures were made" in done.stderr) == (1, True), done.stdout
