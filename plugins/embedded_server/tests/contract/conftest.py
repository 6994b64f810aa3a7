"""Operations of the media tests on a server, its API and FFmpeg."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child

ENCODER = (
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-pix_fmt",
    "yuv420p",
    "-forced-idr",
    "1",
)
KEYS = ("-force_key_frames", "expr:gte(t,n_forced*0.5)", "-fps_mode", "passthrough")


class Media:
    """Server under test, with its streams and recordings."""

    def __init__(self, server: Any, api: httpx.AsyncClient) -> None:
        self.server = server
        self.api = api

    def publisher_argv(
        self, url: str, rate: int = 15, *filters: str, encoder: tuple[str, ...] = ENCODER
    ) -> list[str]:
        """Return FFmpeg's arguments to publish a test picture with two key frames per second."""
        source = f"testsrc2=size=320x240:rate={rate},realtime"  # -re starts with a burst in newer versions
        head = (ffmpeg.locate(), *ffmpeg.QUIET, "-f", "lavfi", "-i", source)
        return [*head, *filters, *encoder, *KEYS, "-f", "rtsp", "-rtsp_transport", "tcp", url]

    def command(self, url: str) -> str:
        """Return the same as a hook command."""
        return " ".join(f"'{word}'" for word in self.publisher_argv(url))

    @asynccontextmanager
    async def publishing(self, path: str, *args: Any, **options: Any) -> AsyncIterator[None]:
        async with child(self.publisher_argv(f"{self.server.rtsp_url}/{path}", *args, **options)):
            await self.until(f"/v3/paths/get/{path}", {"ready": True})
            yield

    async def until(self, address: str, wanted: dict[str, Any]) -> Any:
        """Wait until the object at `address` has these values, and return it."""
        found: Any = None
        with anyio.move_on_after(20):
            while True:
                response = await self.api.get(address)
                found = response.json()
                if response.status_code == 200 and wanted.items() <= found.items():
                    return found
                await anyio.sleep(0.02)
        pytest.fail(f"{address} does not become {wanted}: {found}")

    async def add(self, path: str, **options: Any) -> None:
        response = await self.api.post(f"/v3/config/paths/add/{path}", json=options)
        assert response.status_code == 200, response.text
        await self.until(f"/v3/paths/get/{path}", {"name": path})

    async def patch(self, path: str, **options: Any) -> None:
        response = await self.api.patch(f"/v3/config/paths/patch/{path}", json=options)
        assert response.status_code == 200, response.text

    async def recorded(self, path: str, count: int = 1) -> list[Path]:
        """Wait until the path has `count` files, and return them."""
        with anyio.fail_after(15):
            while len(files := sorted(self.server.recordings.glob(f"{path}/*.*"))) < count:
                await anyio.sleep(0.02)
        return files

    async def finished(self, file: Path) -> None:
        """Wait until the file has its duration, which is then not zero in `mvhd`."""
        with anyio.fail_after(10):
            while True:
                data = file.read_bytes()
                at = data.index(b"mvhd") + 20
                if any(data[at : at + 4]):
                    return
                await anyio.sleep(0.02)

    async def packets(self, source: str, *options: str) -> list[tuple[float, float, bool]]:
        """Return time and duration in seconds and the key flag of each video packet, as FFmpeg reads them."""
        arguments = [*options, "-i", source, "-c", "copy", "-f", "framecrc", "-"]
        text = (await ffmpeg.run(ffmpeg.locate(), arguments)).decode()
        found = re.search(r"#tb 0: ([0-9]+)/([0-9]+)", text)
        assert found is not None
        base = int(found[1]) / int(found[2])
        rows = [line.split(",") for line in text.splitlines() if line.startswith("0,")]
        return [(int(row[2]) * base, int(row[3]) * base, "F=0x0" not in "".join(row[6:])) for row in rows]

    async def duration_s(self, file: Path) -> float:
        found = await self.packets(str(file))
        return found[-1][0] + found[-1][1] - found[0][0]

    async def decodes(self, file: Path) -> None:
        """Check that FFmpeg decodes every picture of the file without a message."""
        assert await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(file), "-f", "null", "-"]) == b""

    def started(self, file: Path) -> float:
        """Return the start in the name of the file, in seconds since the epoch."""
        return datetime.strptime(file.stem, "%Y-%m-%d_%H-%M-%S-%f").replace(tzinfo=UTC).timestamp()


@pytest.fixture
def media_of() -> Callable[[Any], AbstractAsyncContextManager[Media]]:
    """Return a function that makes the same for a server that is not under test by parameter."""

    @asynccontextmanager
    async def make(server: Any) -> AsyncIterator[Media]:
        async with httpx.AsyncClient(base_url=server.api_url, timeout=15) as api:
            yield Media(server, api)

    return make


@pytest.fixture
def media(server: Any, api: httpx.AsyncClient) -> Media:
    return Media(server, api)
