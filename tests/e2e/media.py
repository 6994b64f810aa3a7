"""Agents with cameras and a media server, and the pictures of their streams and recordings."""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg
from agent_core.testing.agents import RunningAgent, running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest
from tests.media_servers import running_server
from virtual_camera import burnt_in

from .conftest import descendants, is_running

WIDTH, HEIGHT = 320, 240
CAMERA: Mapping[str, Any] = {"name": "Test", "id": "camera0", "width": WIDTH, "height": HEIGHT, "fps": 15}
PLUGINS = ("virtual_camera", "ffmpeg_tier")
#: FFmpeg writes grey pictures one after the other, each with this before it.
_PGM = f"P5\n{WIDTH} {HEIGHT}\n255\n".encode()


class Rig:
    """An agent that runs, with `client` connected as admin; `recordings` is its folder of them."""

    def __init__(self, agent: RunningAgent, client: AgentClient, recordings: Path) -> None:
        self.agent = agent
        self.client = client
        self.recordings = recordings

    async def call(self, method: str, device: str | None = "camera0", **params: Any) -> Any:
        with anyio.fail_after(30):
            return await self.client.call(method, **({"device": device} if device else {}), **params)

    async def fault(self, name: str, *, enabled: bool = True) -> None:
        await self.call("virtual_camera.set_fault", fault=name, enabled=enabled)

    async def refused(self, method: str, device: str | None = "camera0", **params: Any) -> CallFailed:
        """The error that the call ends with, which says what to do."""
        try:
            result = await self.call(method, device, **params)
        except CallFailed as error:
            assert error.reason, method
            assert error.details, method
            assert error.suggestion, method
            return error
        raise AssertionError(f"{method} succeeded: {result}")

    def segments(self, recording: Mapping[str, Any]) -> list[Path]:
        """The files of a recording, oldest first."""
        folder = self.recordings / recording["device"] / recording["filename"]
        return sorted(each for each in folder.iterdir() if each.suffix in {".mp4", ".ts"})

    async def until(self, method: str, device: str | None = "camera0", **wanted: Any) -> Any:
        """The method's result, as soon as it has these values."""
        found: Any = None
        with anyio.move_on_after(20):
            while True:
                found = await self.call(method, device)
                if wanted.items() <= found.items():
                    return found
                await anyio.sleep(0.02)
        raise AssertionError(f"{method} does not become {wanted}: {found}")


#: For an agent as a process: one small camera, and the embedded server on free ports.
EMBEDDED_CONFIG = """
[plugins]
enabled = ["virtual_camera", "ffmpeg_tier", "embedded_server"]
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
[[plugins.virtual_camera.cameras]]
name = "Test"
id = "camera0"
width = 320
height = 240
fps = 15
"""


@asynccontextmanager
async def media_rig(
    kind: str,
    folder: Path,
    observe: Callable[[str], None],
    *,
    cameras: tuple[Mapping[str, Any], ...] = (CAMERA,),
    server: MediaServerUnderTest | None = None,
    added: Mapping[str, object] | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[Rig]:
    """An agent with a media server of that kind: `embedded` in the agent, `mediamtx` beside it; or with `server`.

    `added` are further plugin classes by name; `plugins` among the sections has the settings of further installed ones.
    """
    async with AsyncExitStack() as stack:
        if kind != "embedded" and server is None:
            server = await stack.enter_async_context(running_server(kind, folder / "media_server"))
        config = _config(folder, cameras, sections, server)
        yield await stack.enter_async_context(_rig(config, observe, added or {}))


def _config(
    folder: Path,
    cameras: tuple[Mapping[str, Any], ...],
    sections: Mapping[str, Mapping[str, Any]],
    server: MediaServerUnderTest | None,
) -> dict[str, Any]:
    further = sections.get("plugins", {})
    plugins: dict[str, Any] = {
        **further,
        "enabled": [*PLUGINS, *(name for name in further if name not in PLUGINS)],
        "virtual_camera": {"cameras": [dict(each) for each in cameras], "faults": True},
    }
    media_server = dict(sections.get("media_server", {}))
    if server is None:
        plugins["enabled"].append("embedded_server")
        plugins["embedded_server"] = {"api_port": 0, "rtsp_port": 0}
    else:
        media_server |= {"mode": "external", "api_url": server.api_url, "rtsp_url": server.rtsp_url}
    storage = {"recordings_dir": folder / "recordings", **sections.get("storage", {})}
    return {**sections, "storage": storage, "plugins": plugins, "media_server": media_server}


@asynccontextmanager
async def _rig(
    config: Mapping[str, Any], observe: Callable[[str], None], added: Mapping[str, object]
) -> AsyncIterator[Rig]:
    running = running_agent(config=config, observe=observe, plugins=added)
    async with running as agent, agent.client("admin") as client:
        await connected(client)
        yield Rig(agent, client, Path(config["storage"]["recordings_dir"]))


async def connected(client: AgentClient) -> None:
    """Wait until the agent has its media server."""
    with anyio.fail_after(20):
        while True:
            try:
                await client.call("get_streams")
            except CallFailed as error:
                assert error.code == -32050, error
                await anyio.sleep(0.02)
            else:
                return


def _split(pictures: bytes) -> list[bytes]:
    whole = len(_PGM) + WIDTH * HEIGHT
    assert len(pictures) % whole == 0
    return [pictures[at : at + whole] for at in range(0, len(pictures), whole)]


def marks_of(pictures: bytes) -> list[burnt_in.Mark]:
    """What is burnt into each of a series of grey pictures."""
    return [burnt_in.read(picture) for picture in _split(pictures)]


#: Each frame of the source as a grey picture, on standard output.
AS_PICTURES = ("-fps_mode", "passthrough", "-pix_fmt", "gray", "-c:v", "pgm", "-f", "image2pipe", "-")


async def decoded(path: Path) -> list[burnt_in.Mark]:
    """The marks of every frame of a file; FFmpeg stops at the first that is damaged."""
    return marks_of(await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(path), *AS_PICTURES]))


async def ends(path: Path) -> tuple[burnt_in.Mark, burnt_in.Mark]:
    """The first and the last of a file's pictures."""
    first = await ffmpeg.run(ffmpeg.locate(), ["-i", str(path), "-frames:v", "1", *AS_PICTURES])
    last = await ffmpeg.run(ffmpeg.locate(), ["-sseof", "-2", "-i", str(path), *AS_PICTURES])
    return marks_of(first)[0], marks_of(last)[-1]


async def decoded_torn(path: Path) -> list[burnt_in.Mark]:
    """The marks of a file whose end may be missing: what could not be written takes the last picture with it."""
    *whole, last = _split(await ffmpeg.run(ffmpeg.locate(), ["-i", str(path), *AS_PICTURES]))
    marks = [burnt_in.read(picture) for picture in whole]
    with suppress(burnt_in.MarkUnreadable):
        marks.append(burnt_in.read(last))
    return marks


async def read_stream(url: str, *, frames: int) -> list[burnt_in.Mark]:
    """The marks of so many frames of a stream, as any RTSP client sees them, without torn ones at its beginning.

    Both servers send whatever packet comes next. A client that joins between two slices of a key picture shows a
    picture without its upper part, and all that build on it, until the next key picture.
    """
    words = ["-rtsp_transport", "tcp", "-i", url, "-frames:v", str(frames), *AS_PICTURES]
    with anyio.fail_after(40):
        pictures = _split(await ffmpeg.run(ffmpeg.locate(), words))
    return [burnt_in.read(picture) for picture in itertools.dropwhile(_is_torn, pictures)]


def _is_torn(picture: bytes) -> bool:
    try:
        burnt_in.read(picture)
    except burnt_in.MarkUnreadable:
        return True
    return False


def counters(marks: list[burnt_in.Mark]) -> list[int]:
    return [mark.counter for mark in marks]


#: What a crash may take with it: a quarter of a second by the configuration, the rest is a machine that is busy.
LOST = timedelta(seconds=2)
#: A publisher that the machine lets wait is given fewer frames (frame_server); a server that loses some loses a
#: group of pictures, which is half a second.
HOLE_FRAMES = 6


def is_gapless(marks: list[burnt_in.Mark]) -> bool:
    """Whether every frame is newer than the one before, with no hole that is more than a busy machine."""
    numbers = counters(marks)
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    return bool(numbers) and all(1 <= step <= HOLE_FRAMES for step in steps)


def in_order(parts: list[list[burnt_in.Mark]]) -> bool:
    """Return whether each part has no gap and is later than the one before."""
    numbers = [mark.counter for part in parts for mark in part]
    return all(is_gapless(part) for part in parts) and numbers == sorted(set(numbers))


def saw_the_same(*readers: list[burnt_in.Mark]) -> bool:
    """Whether all were given the same frames, from the last one's beginning to the first one's end."""
    seen = [set(counters(marks)) for marks in readers]
    common = range(max(map(min, seen)), min(map(max, seen)) + 1)
    return bool(common) and len({frozenset(numbers & set(common)) for numbers in seen}) == 1


def publishers() -> list[int]:
    """The FFmpegs below this process that publish a stream."""
    return [pid for pid in descendants(os.getpid()) if b"rtsp://127.0.0.1" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
    return words if b"\0-f\0rtsp\0" in words and b"-rw_timeout" in words else b""


async def gone(pids: Iterable[int], within_s: float) -> None:
    """Wait until none of these processes runs."""
    with anyio.fail_after(within_s):
        while any(is_running(pid) for pid in pids):
            await anyio.sleep(0.02)


async def next_event(events: Any, topic: str, **wanted: Any) -> Any:
    """The params of the next event of that topic that has these values."""
    with anyio.fail_after(20):
        async for event in events:
            if event.topic == topic and wanted.items() <= event.params.items():
                return event.params
    raise AssertionError(f"no {topic} came")
