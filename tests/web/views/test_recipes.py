"""The recipes of docs/views.md, each with the program that it is for."""

import shutil
from pathlib import Path

import anyio
import pytest
from PIL import Image

from agent_core.plugin import ffmpeg
from tests.foreign_page import foreign_page
from tests.web.views.rig import SHADES, Box, box

HERE = Path(__file__).parent
HUBS = HERE.parents[2] / ".cache/hubs"
LIMIT_S = 50
COUNT = 10


def with_key(it: Box, path: str) -> str:
    """Return the address with an API key as the password, as players take it."""
    return it.agent.http_url.replace("://", f"://player:{it.key('player')}@") + path


async def output_of(*words: str) -> str:
    with anyio.fail_after(LIMIT_S):
        return (await anyio.run_process([*words])).stdout.decode()


@pytest.fixture
def hubs() -> str:
    if not (HUBS / ".installed").exists():
        pytest.skip("no .cache/hubs: `make test` makes it where PyPI can be reached")
    return str(HUBS / "bin/python")


@pytest.mark.secret_arguments
async def test_ffmpeg_reads_the_live_view() -> None:
    async with box() as it:
        words = ["-f", "mpjpeg", "-i", with_key(it, "/cameras/camera0/live.mjpeg")]
        words += ["-frames:v", str(COUNT), "-c", "copy", "-f", "framehash", "-hash", "md5", "pipe:1"]
        told = await output_of(ffmpeg.locate(), "-v", "error", *words)
        frames = [line for line in told.splitlines() if not line.startswith("#")]
        assert len(frames) == COUNT
        sizes = {int(line.split(",")[4]) for line in frames}
        assert sizes <= {len(each) for each in SHADES}


@pytest.mark.secret_arguments
async def test_ffmpeg_reads_it_with_a_view_link_and_without_a_format() -> None:
    async with box() as it, it.agent.client("operator") as operator:
        link = await operator.call("create_view_link", device="camera0")
        words = [
            "-i",
            it.agent.http_url + link["url"],
            "-frames:v",
            "3",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
        ]
        with anyio.fail_after(LIMIT_S):
            done = await anyio.run_process([ffmpeg.locate(), "-v", "error", *words, "pipe:1"])
        assert len(done.stdout) == 3 * 64 * 48


@pytest.mark.secret_arguments
async def test_opencv_reads_the_live_view(hubs: str) -> None:
    async with box() as it:
        told = await output_of(
            hubs, str(HERE / "hubs/opencv.py"), with_key(it, "/cameras/camera0/live.mjpeg")
        )
        sizes, levels = zip(*(each.split(":") for each in told.split()), strict=True)
        assert set(sizes) == {"64x48"}
        assert len(set(levels)) > 1


@pytest.mark.secret_arguments
async def test_home_assistant_s_mjpeg_camera(hubs: str) -> None:
    async with box() as it:
        base = f"{it.agent.http_url}/cameras/camera0"
        words = [f"{base}/live.mjpeg", f"{base}/snapshot.jpg", it.key()]
        told = await output_of(hubs, str(HERE / "hubs/home_assistant.py"), *words)
        from_stream, still, kind = told.split()
        assert bytes.fromhex(from_stream) in SHADES
        assert bytes.fromhex(still) in SHADES
        assert kind == "multipart/x-mixed-replace"


def image(src: str, left: int) -> str:
    return f'<img src="{src}" style="position:absolute;top:0;left:{left}px;width:100px;height:100px">'


def colours_of(picture: Path) -> list[object]:
    """Return the colours of the two images of a page, and of the page beside them."""
    with Image.open(picture) as opened:
        return [opened.convert("RGB").getpixel((left, 50)) for left in (50, 150, 250)]


@pytest.mark.timeout(180)
async def test_a_browser_shows_a_view_link_in_a_foreign_page(tmp_path: Path) -> None:
    """What else such a page may not have is held by the web console's tests, in a browser that remembers a password."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here: Debian's package has it")
    async with box() as it, it.agent.client("operator") as operator:
        link = await operator.call("create_view_link", device="camera0")
        base = it.agent.http_url
        images = image(base + link["url"], 0) + image(base + link["snapshot_url"], 100)
        picture = tmp_path / "page.png"
        words = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        words += [f"--user-data-dir={tmp_path}/profile", "--window-size=300,200"]
        async with foreign_page(f'<body style="margin:0;background:#00f">{images}') as port:
            for wait_ms in (5_000, 30_000):  # a page whose picture moves never counts as loaded
                words_now = [*words, f"--timeout={wait_ms}", f"--screenshot={picture}"]
                await output_of(*words_now, f"http://localhost:{port}/")
                live, still, beside = colours_of(picture)
                if (0, 0, 255) not in (live, still):
                    break
    assert beside == (0, 0, 255), "the page's own blue"
    for each in (live, still):
        assert isinstance(each, tuple)
        assert len(set(each)) == 1, f"a camera's grey, not {each}"
