"""Chromium, driven by commands."""

import base64
import io
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from PIL import Image

from plugins.external_discovery.tests.network.namespaces import Namespace
from plugins.web_console.tests.colours import Colour

__all__ = ("Browser", "DriverFailed", "browser", "why_no_browser")

CHROMIUM = "chromium"
DRIVER = Path(__file__).parent / "browser/driver.py"
DRIVERS = Path(__file__).parents[3] / ".cache/browser"
LIMIT_S = 55
#: Longest answer of the driver: a screenshot in base64.
LINE_BYTES = 64 << 20


class DriverFailed(AssertionError):
    """The driver could not do what a test asked for."""


class Browser:
    """Chromium; each call is a command of `browser/driver.py`. A call that is cancelled leaves its answer to be skipped."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)
        self._commands = 0

    async def answer(self) -> Any:
        """Return the answer to the newest command; 0 is the start of the driver."""
        with anyio.fail_after(LIMIT_S):
            while True:
                line = json.loads(await self._output.receive_until(b"\n", LINE_BYTES))
                if line["command"] == self._commands:
                    break
        if "error" in line:
            raise DriverFailed(line["error"])
        return line["value"]

    async def __call__(self, do: str, **members: Any) -> Any:
        self._commands += 1
        asked = {"command": self._commands, "do": do, "members": members}
        await self._input.send(json.dumps(asked).encode() + b"\n")
        return await self.answer()

    async def faults(self, *answers: tuple[int, str]) -> list[str]:
        """Return dialogs, uncaught errors and errors of the console.

        Args:
            answers: statuses and last words of paths of answers that the test causes; Chromium logs each. Those of
                pictures that the page asks for again by itself are never faults.
        """
        found: list[str] = await self("faults", answers=answers)
        return found

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
    """Run Chromium. A test that does so has the mark `browser`: it is skipped where Chromium or its driver is missing.

    Args:
        folder: the profile's place.
        host: the browser's computer in a network of the test's own; default: this process's.
        options: of Playwright's context, such as `viewport` and `color_scheme`.
    """
    chromium = shutil.which(CHROMIUM)
    assert chromium is not None, "mark the test with pytest.mark.browser"
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
