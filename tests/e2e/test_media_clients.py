"""Other people's RTSP clients on the stream of the embedded server, as far as this machine has them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import run

from .media import media_rig

Observe = Callable[[str], None]
FRAMES = 30
#: GStreamer 1.22 now and then interrupts the sending of its own PAUSE when it ends, says so and exits with 1; its
#: TEARDOWN then comes through on the same connection.
STUMBLE = "gst_rtspsrc_pause"
#: VLC does not run as root.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/tmp")


@pytest.fixture(params=["gst-launch-1.0", "vlc", "ffmpeg", "ffmpeg over UDP first", "ffprobe"])
def client(request: pytest.FixtureRequest) -> str:
    program = str(request.param).partition(" ")[0]
    if program == "vlc" and not list(Path("/usr/lib").glob("*/vlc/plugins/access/liblive555_plugin.so")):
        pytest.skip("no VLC with its RTSP client live555 here; Debian's packages leave it out")
    if program != "ffmpeg" and shutil.which("cvlc" if program == "vlc" else program) is None:
        pytest.skip(f"{program} is not installed")
    if program == "gst-launch-1.0" and not all(has_element(each) for each in ("rtspsrc", "h264parse")):
        pytest.skip("GStreamer lacks rtspsrc or h264parse: install its plugins good and bad")
    return str(request.param)


def has_element(name: str) -> bool:
    found = subprocess.run(["gst-inspect-1.0", "--exists", name], check=False, capture_output=True)
    return found.returncode == 0


def words(client: str, url: str, folder: Path) -> list[str]:
    """A command that ends by itself, with 0, when it has read the stream."""
    if client == "gst-launch-1.0":
        source = ["rtspsrc", f"location={url}", "protocols=tcp", "!", "rtph264depay", "!", "h264parse"]
        return [
            client,
            "-q",
            *source,
            "!",
            "identity",
            f"eos-after={FRAMES}",
            "!",
            "filesink",
            f"location={folder}/out",
        ]
    if client == "vlc":
        out = f"file/ts:{folder}/out"
        return ["cvlc", "--intf", "dummy", "--sout", out, url, ":rtsp-tcp", ":run-time=4", "vlc://quit"]
    if client == "ffprobe":
        return [client, "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-o", f"{folder}/out", url]
    transport = [] if "UDP" in client else ["-rtsp_transport", "tcp"]
    return [
        ffmpeg.locate(),
        *transport,
        "-i",
        url,
        "-frames:v",
        str(FRAMES),
        "-c",
        "copy",
        "-f",
        "h264",
        f"{folder}/out",
    ]


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may write to, because VLC is run as nobody."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


async def test_the_stream_plays(client: str, folder: Path, tmp_path: Path, observe: Observe) -> None:
    async with media_rig("embedded", tmp_path, observe) as rig:
        await rig.call("start_streaming")
        argv = words(client, (await rig.call("get_stream_url"))["stream_url"], folder)
        if client == "vlc" and os.geteuid() == 0:
            argv = [*AS_NOBODY, *argv]
        with anyio.fail_after(40):
            finished = await run(argv)
    assert finished.returncode == 0 or STUMBLE in finished.stderr, finished.stderr
    out = (folder / "out").read_bytes()
    assert b"codec_name=h264" in out if client == "ffprobe" else len(out) > 10_000
