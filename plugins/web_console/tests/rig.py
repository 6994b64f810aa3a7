"""Agents with virtual cameras of plain colours, and a browser that looks at their page."""

import base64
import io
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from PIL import Image

from agent_core.auth.login_codes import LoginCodes
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock
from agent_core.plugin import ffmpeg
from agent_core.testing import RunningAgent, running_agent
from plugins.external_discovery.tests.network.namespaces import Namespace
from virtual_camera.plugin import VirtualCameraPlugin
from web_console.plugin import WebConsolePlugin

ROOT = Path(__file__).parents[3]
CHROMIUM = "chromium"
DRIVER = Path(__file__).parent / "browser/driver.py"
DRIVERS = ROOT / ".cache/browser"
LIMIT_S = 55
#: Longest answer of the driver: a screenshot in base64.
LINE_BYTES = 64 << 20

Colour = tuple[int, int, int]
RED: Colour = (200, 30, 30)
BLUE: Colour = (30, 30, 200)


class DriverFailed(AssertionError):
    """The driver could not do what a test asked for."""


class Browser:
    """Chromium; each call is a command of `browser/driver.py`."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    async def answer(self) -> Any:
        with anyio.fail_after(LIMIT_S):
            line = json.loads(await self._output.receive_until(b"\n", LINE_BYTES))
        if "error" in line:
            raise DriverFailed(line["error"])
        return line["value"]

    async def __call__(self, do: str, **members: Any) -> Any:
        await self._input.send(json.dumps({"do": do, **members}).encode() + b"\n")
        return await self.answer()

    async def colour(self, selector: str, x: float = 0.5, y: float = 0.6) -> Colour:
        """Return the colour at a place of an element; 0 is left or top, 1 right or bottom."""
        with Image.open(io.BytesIO(base64.b64decode(await self("shot", selector=selector)))) as opened:
            picture = opened.convert("RGB")
            found = picture.getpixel((int(x * (picture.width - 1)), int(y * (picture.height - 1))))
        assert isinstance(found, tuple)
        red, green, blue = found
        return int(red), int(green), int(blue)


def why_no_browser() -> str | None:
    """Return the reason why Chromium cannot be driven here; None if it can."""
    if shutil.which(CHROMIUM) is None:
        return "no chromium here: Debian's package has it"
    if not (DRIVERS / ".installed").exists():
        return "no .cache/browser: `make test` makes it where PyPI can be reached"
    return None


@asynccontextmanager
async def browser(folder: Path, host: Namespace | None = None, **options: Any) -> AsyncIterator[Browser]:
    """Run Chromium; `conftest.py` skips tests where it, or what drives it, is missing.

    Args:
        folder: the profile's place.
        host: the browser's computer in a network of the test's own; default: this process's.
        options: of Playwright's context, such as `viewport` and `color_scheme`.
    """
    chromium = shutil.which(CHROMIUM)
    assert chromium is not None
    words = [str(DRIVERS / "bin/python"), str(DRIVER), chromium, str(folder / "profile"), json.dumps(options)]
    if host is not None:
        words = [*host.command(*words)]
    async with await anyio.open_process(words, stderr=None) as process:
        try:
            made = Browser(process)
            assert await made.answer() == "ready"
            yield made
            assert process.stdin is not None
            await process.stdin.aclose()  # the driver then ends Chromium, and itself
            with anyio.move_on_after(LIMIT_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()


def painted(folder: Path, name: str, colour: Colour) -> dict[str, Any]:
    """Return the settings of a virtual camera whose picture has one colour."""
    file = folder / f"{abs(hash(name))}.png"
    Image.new("RGB", (320, 240), colour).save(file)
    return {"name": name, "picture": "file", "file": str(file), "width": 320, "height": 240, "fps": 5}


@asynccontextmanager
async def box(
    cameras: Sequence[Mapping[str, Any]],
    folder: Path | None = None,
    *,
    others: Mapping[str, object] | None = None,
    **sections: Any,
) -> AsyncIterator[RunningAgent]:
    """Run an agent with the console, these virtual cameras, numbered from camera0, and other plugins."""
    tables = [{"id": f"camera{number}", **each} for number, each in enumerate(cameras)]
    plugins = {"virtual_camera": {"faults": True, "cameras": tables}, **sections.pop("plugins", {})}
    async with running_agent(
        plugins={"virtual_camera": VirtualCameraPlugin, "web_console": WebConsolePlugin, **(others or {})},
        config={"plugins": plugins, **sections},
        folder=folder,
    ) as agent:
        yield agent


async def needs_h265() -> None:
    """Skip the test if no camera can send H.265 here."""
    told = (await anyio.run_process([ffmpeg.locate(), "-hide_banner", "-encoders"])).stdout
    if b"libx265" not in told:
        pytest.skip("this FFmpeg encodes no H.265")


def login_link(agent: RunningAgent, role: str = "admin") -> str:
    """Return the link that `camera-agent token link` prints."""
    codes = LoginCodes(Secret.load(agent.folder / "state/secret"), SystemClock())
    return f"{agent.http_url}/#login={codes.create('tester', Role(role))}"


def is_near(one: Colour, other: Colour, within: int = 40) -> bool:
    """Return True if two colours look alike; JPEG changes them a little."""
    return all(abs(here - there) <= within for here, there in zip(one, other, strict=True))


class Proxy:
    """Reverse proxy that serves an agent below a path, and nothing else."""

    def __init__(self, agent_url: str, path: str) -> None:
        host, _, port = agent_url.removeprefix("http://").partition(":")
        self._agent = host, int(port)
        self._path = path.encode()
        self._scopes: set[anyio.CancelScope] = set()
        self.is_cut = False

    def cut(self) -> None:
        """End all connections, and those that are made until `is_cut` is False again."""
        self.is_cut = True
        for each in self._scopes:
            each.cancel()

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        """Pass one request on, or one WebSocket: the agent closes a connection that is not to be kept."""
        if self.is_cut:
            await client.aclose()
            return
        async with client:
            received = BufferedByteReceiveStream(client)
            try:
                head = await received.receive_until(b"\r\n\r\n", 65536)
            except (anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            first, _, fields = head.partition(b"\r\n")
            method, target, version = first.split(b" ")
            if not target.startswith(self._path + b"/"):
                await client.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            lines = [each for each in fields.split(b"\r\n") if each.lower() != b"connection: keep-alive"]
            if not any(each.lower().startswith(b"upgrade:") for each in lines):
                lines.append(b"Connection: close")
            begun = b" ".join((method, target.removeprefix(self._path), version))
            async with await anyio.connect_tcp(*self._agent) as agent:
                await agent.send(b"\r\n".join((begun, *lines)) + b"\r\n\r\n" + received.buffer)
                async with anyio.create_task_group() as tasks:
                    self._scopes.add(tasks.cancel_scope)
                    tasks.start_soon(_pump, client, agent, tasks.cancel_scope)
                    tasks.start_soon(_pump, agent, client, tasks.cancel_scope)
                self._scopes.discard(tasks.cancel_scope)


async def _pump(
    source: anyio.abc.SocketStream, target: anyio.abc.SocketStream, scope: anyio.CancelScope
) -> None:
    """Copy bytes until either side ends."""
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()
