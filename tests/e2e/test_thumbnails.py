"""Thumbnails over HTTP, as a client sees them: real snapshots and recordings, whole and bad."""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from agent_core.plugin import Plugin, RecordingStills, Settings, StillRequest, hookimpl
from agent_core.testing import RunningAgent, running_agent
from tests.media.files import H264, make, source

from .media import media_rig

AT = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)
ID = "camera0_2026-11-22_17-03-54Z"
FFMPEG = {"plugins": {"enabled": ["ffmpeg_tier"]}}


def picture(size: tuple[int, int] = (640, 480), form: str = "JPEG") -> bytes:
    output = BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(output, form)
    return output.getvalue()


def huge_png() -> bytes:
    """Return a small file whose header promises 30,000 x 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def huge_jpeg() -> bytes:
    data = picture()
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", 30_000, 30_000) + data[at + 9 :]


def put_snapshot(folder: Path, name: str, data: bytes) -> Path:
    path = folder / "state/snapshots/camera0" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def put_recording(folder: Path, *, ended: bool = True, data: bytes | None = None) -> Path:
    """Write a recording of one segment; return the segment."""
    place = folder / "state/recordings/camera0" / ID
    place.mkdir(parents=True)
    moment = AT.isoformat()
    note = {"id": ID, "camera": "camera0", "format": "fmp4", "started_at": moment}
    (place / "recording.json").write_text(json.dumps(note | ({"ended_at": moment} if ended else {})))
    segment = place / "2026-11-22_17-03-54-000000Z.mp4"
    if data is None:
        await make(segment, *source(10, 2, "640x480"), *H264, "-g", "5")
    else:
        segment.write_bytes(data)
    return segment


def state(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)


class Viewer:
    """A viewer of one agent: calls by WebSocket, files by HTTP."""

    def __init__(self, agent: RunningAgent, http: httpx.AsyncClient) -> None:
        self.agent = agent
        self.http = http
        self.headers = {"Authorization": f"Bearer {agent.token()}"}

    async def call(self, method: str, **params: object) -> Any:
        async with self.agent.client("viewer") as client:
            return await client.call(method, **params)

    async def get(self, name: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"/files/thumbnails/{name}", headers=self.headers | headers)


def size_of(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    image = Image.open(BytesIO(response.content))
    assert image.format == "JPEG"
    return image.size


def client(agent: RunningAgent) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=agent.http_url, timeout=30)


async def test_a_snapshot_is_shown_small_by_its_link_alone(
    tmp_path: Path, observe: Callable[[str], None]
) -> None:
    state(tmp_path)
    put_snapshot(tmp_path, "a.jpg", picture())
    async with running_agent(folder=tmp_path, observe=observe) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        (listed,) = (await viewer.call("list_snapshots"))["files"]
        info = await viewer.call("get_snapshot_info", filename="camera0/a.jpg")
        assert listed["thumbnail_url"].startswith("/files/thumbnails/snapshots/camera0/a.jpg.jpg?")
        answer = await http.get(listed["thumbnail_url"])
        assert size_of(answer) == (320, 240)
        assert "a.jpg.jpg" in answer.headers["content-disposition"]
        again = await http.get(info["thumbnail_url"], headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        head = await http.head(info["thumbnail_url"])
        assert head.headers["content-length"] == str(len(answer.content))
        part = await http.get(info["thumbnail_url"], headers={"Range": "bytes=0-1"})
        assert (part.status_code, part.content) == (206, b"\xff\xd8")


async def test_nothing_is_told_without_credentials(tmp_path: Path) -> None:
    state(tmp_path)
    put_snapshot(tmp_path, "a.jpg", picture())
    async with running_agent(folder=tmp_path) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        link = (await viewer.call("get_snapshot_info", filename="camera0/a.jpg"))["thumbnail_url"]
        for url in (
            "/files/thumbnails/snapshots/camera0/a.jpg.jpg",
            "/files/thumbnails/snapshots/camera0/missing.jpg.jpg",
            link.replace("thumbnails/snapshots", "snapshots"),
            link.replace("a.jpg.jpg", "b.jpg.jpg"),
        ):
            assert (await http.get(url)).status_code == 401
        assert not (tmp_path / "state/thumbnails").exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "snapshots",
        "snapshots/camera0/a.jpg",
        "snapshots/camera0/link.jpg.jpg",
        "snapshots/camera0/%2e%2e/outside.jpg.jpg",
        "snapshots/..%2f..%2fsecret.jpg",
        "snapshots/%2fetc%2fpasswd.jpg",
        "snapshots/camera0/a%00.jpg.jpg",
        "snapshots/camera0/fifo.jpg.jpg",
        "snapshots/camera0/" + "n" * 300 + ".jpg.jpg",
        "snapshots/linked/a.jpg.jpg",
        "snapshots/camera5/a.jpg.jpg",
        f"recordings/{ID}",
        f"recordings/{ID}.mp4",
        "recordings/..%2f..%2fsecret.jpg",
        "recordings/camera0_2026-11-22_17-03-55Z.jpg",
        "thumbnails/snapshots/camera0/a.jpg.jpg",
    ],
)
async def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    state(tmp_path)
    root = put_snapshot(tmp_path, "a.jpg", picture()).parent
    (tmp_path / "outside.jpg").write_bytes(picture())
    (root / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (root.parent / "camera5").symlink_to(root)
    os.mkfifo(root / "fifo.jpg")
    await put_recording(tmp_path, data=b"no media")
    async with running_agent(folder=tmp_path, config=FFMPEG) as agent, client(agent) as http:
        answer = await Viewer(agent, http).get(name)
        assert answer.status_code == 404, answer.text
        assert not (tmp_path / "state/thumbnails").exists()


@pytest.mark.parametrize("ended", [True, False])
async def test_a_recording_is_shown_by_its_first_key_frame(tmp_path: Path, ended: bool) -> None:
    state(tmp_path)
    segment = await put_recording(tmp_path, ended=ended)
    async with running_agent(folder=tmp_path, config=FFMPEG) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        (listed,) = (await viewer.call("list_recordings"))["files"]
        info = await viewer.call("get_recording_info", filename=ID)
        assert listed["thumbnail_url"].startswith(f"/files/thumbnails/recordings/{ID}.jpg?")
        answer = await http.get(info["thumbnail_url"])
        assert size_of(answer) == (320, 240)
        if not ended:  # what is written later changes nothing
            segment.write_bytes(segment.read_bytes() + b"a part")
            assert (await http.get(info["thumbnail_url"])).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("form", ["fmp4", "mpegts"])
async def test_a_recording_under_way_is_shown_from_what_is_on_disk(
    server_kind: str, tmp_path: Path, observe: Callable[[str], None], form: str
) -> None:
    async with media_rig(server_kind, tmp_path, observe) as rig:
        started = await rig.call("start_recording", wait=True, format=form)
        async with httpx.AsyncClient(base_url=rig.agent.http_url, timeout=30) as http:
            (listed,) = (await rig.call("list_recordings"))["files"]
            width, height = size_of(await http.get(listed["thumbnail_url"]))
            assert 0 < height <= width <= 320
            await rig.call("stop_recording")
            info = await rig.call("get_recording_info", None, filename=started["filename"])
            assert size_of(await http.get(info["thumbnail_url"])) == (width, height)


async def test_without_a_decoder_the_answer_says_what_to_enable(tmp_path: Path) -> None:
    state(tmp_path)
    await put_recording(tmp_path)
    async with running_agent(folder=tmp_path) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        assert "thumbnail_url" not in (await viewer.call("list_recordings"))["files"][0]
        assert "thumbnail_url" not in await viewer.call("get_recording_info", filename=ID)
        answer = await viewer.get(f"recordings/{ID}.jpg")
        assert (answer.status_code, answer.json()["reason"]) == (409, "no_decoder")
        assert "ffmpeg_tier" in answer.json()["suggestion"]


BAD_PICTURES: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "picture_damaged"),
    "text.jpg": (b"no picture at all", "picture_damaged"),
    "cut.jpg": (picture()[:300], "picture_damaged"),
    "page.png": (b"<html>", "picture_damaged"),
    "huge.png": (huge_png(), "picture_too_large"),
    "huge.jpg": (huge_jpeg(), "picture_too_large"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
async def test_a_bad_picture_has_a_reason(tmp_path: Path, name: str) -> None:
    data, reason = BAD_PICTURES[name]
    state(tmp_path)
    path = put_snapshot(tmp_path, name, data)
    async with running_agent(folder=tmp_path) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        for _ in range(2):
            answer = await viewer.get(f"snapshots/camera0/{name}.jpg")
            assert (answer.status_code, answer.json()["reason"]) == (409, reason)
            assert str(tmp_path) not in answer.text
        path.write_bytes(picture())
        assert size_of(await viewer.get(f"snapshots/camera0/{name}.jpg")) == (320, 240)


def odd_picture(mode: str, size: tuple[int, int], form: str, **options: Any) -> bytes:
    output = BytesIO()
    Image.new(mode, size, 1).save(output, form, **options)
    return output.getvalue()


ODD_PICTURES: dict[str, tuple[bytes, tuple[int, int]]] = {
    "cmyk.jpg": (odd_picture("CMYK", (640, 480), "JPEG"), (320, 240)),
    "grey.jpg": (odd_picture("L", (640, 480), "JPEG"), (320, 240)),
    "progressive.jpg": (odd_picture("RGB", (641, 3), "JPEG", progressive=True), (320, 1)),
    "palette.png": (odd_picture("P", (640, 480), "PNG", transparency=1), (320, 240)),
    "deep.png": (odd_picture("I;16", (640, 480), "PNG"), (320, 240)),
    "bits.png": (odd_picture("1", (640, 480), "PNG"), (320, 240)),
    "alpha.png": (odd_picture("RGBA", (30_000, 1), "PNG"), (320, 1)),
    "dot.jpg": (odd_picture("RGB", (1, 1), "JPEG"), (1, 1)),
    "a png.jpeg": (odd_picture("RGB", (640, 480), "PNG"), (320, 240)),
    "\N{SNOWMAN} a+b%2F#?.JPG": (odd_picture("RGB", (640, 480), "JPEG"), (320, 240)),
}


@pytest.mark.parametrize("name", ODD_PICTURES)
async def test_an_odd_picture_is_shown(tmp_path: Path, name: str) -> None:
    data, size = ODD_PICTURES[name]
    state(tmp_path)
    put_snapshot(tmp_path, name, data)
    async with running_agent(folder=tmp_path) as agent, client(agent) as http:
        (listed,) = (await Viewer(agent, http).call("list_snapshots"))["files"]
        assert size_of(await http.get(listed["thumbnail_url"])) == size


class Counting(RecordingStills):
    def __init__(self) -> None:
        self.calls = 0
        self.answer: object = picture((1280, 720), "PNG")

    async def first(self, request: StillRequest) -> bytes:
        self.calls += 1
        assert os.read(request.descriptor, 4) == b"data"
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value] # tests of wrong types


@pytest.fixture
def stills() -> Counting:
    return Counting()


def plugin_of(stills: Counting) -> type[Plugin[Settings]]:
    class Decoder(Plugin[Settings]):
        @hookimpl
        def agent_recording_stills(self) -> RecordingStills:
            return stills

    return Decoder


async def test_a_plugin_decodes_once_and_the_core_scales(tmp_path: Path, stills: Counting) -> None:
    state(tmp_path)
    await put_recording(tmp_path, data=b"data of a recording")
    config = {"thumbnails": {"width": 64}}
    async with (
        running_agent(folder=tmp_path, plugins={"decoder": plugin_of(stills)}, config=config) as agent,
        client(agent) as http,
    ):
        answers: list[httpx.Response] = []

        async def view() -> None:
            answers.append(await Viewer(agent, http).get(f"recordings/{ID}.jpg"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(view)
        assert {size_of(each) for each in answers} == {(64, 36)}
        assert stills.calls == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "decoder_failed"),
        ("text", "decoder_failed"),
        (b"no picture", "picture_damaged"),
        (ZeroDivisionError(), "decoder_failed"),
        (SystemExit(3), "provider_raised"),
    ],
)
async def test_whatever_a_plugin_does_costs_one_answer(
    tmp_path: Path, stills: Counting, answer: object, reason: str
) -> None:
    state(tmp_path)
    await put_recording(tmp_path, data=b"data of a recording")
    stills.answer = answer
    async with (
        running_agent(folder=tmp_path, plugins={"decoder": plugin_of(stills)}) as agent,
        client(agent) as http,
    ):
        for _ in range(2):
            found = await Viewer(agent, http).get(f"recordings/{ID}.jpg")
            assert (found.status_code, found.json()["reason"]) == (409, reason)
        assert stills.calls == 1


async def test_a_client_that_leaves_ends_the_decoding(tmp_path: Path) -> None:
    state(tmp_path)
    await put_recording(tmp_path, data=b"data of a recording")
    began, ended = anyio.Event(), anyio.Event()

    class Endless(Counting):
        async def first(self, request: StillRequest) -> bytes:
            began.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
            raise AssertionError

    async with (
        running_agent(folder=tmp_path, plugins={"decoder": plugin_of(Endless())}) as agent,
        client(agent) as http,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Viewer(agent, http).get, f"recordings/{ID}.jpg")
            with anyio.fail_after(20):
                await began.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await ended.wait()


async def test_a_thumbnail_goes_with_its_file(tmp_path: Path) -> None:
    state(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        put_snapshot(tmp_path, name, picture())
    await put_recording(tmp_path)
    async with running_agent(folder=tmp_path, config=FFMPEG) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        names = ("snapshots/camera0/a.jpg.jpg", "snapshots/camera0/b.jpg.jpg", f"recordings/{ID}.jpg")
        for name in names:
            size_of(await viewer.get(name))
        with anyio.fail_after(30):
            while not agent.parts.index.is_settled:
                await anyio.sleep(0.01)
        async with agent.client("admin") as admin:
            await admin.call("delete_snapshot", filename="camera0/a.jpg")
            await admin.call("delete_recording", filename=ID)
        (tmp_path / "state/snapshots/camera0/b.jpg").unlink()  # by another program
        for name in names:
            assert (await viewer.get(name)).status_code == 404
        with anyio.fail_after(30):
            while list((tmp_path / "state/thumbnails").rglob("*~*")):
                await anyio.sleep(0.01)


async def test_the_cache_may_be_deleted_at_any_time(tmp_path: Path) -> None:
    state(tmp_path)
    put_snapshot(tmp_path, "a.jpg", picture())
    async with running_agent(folder=tmp_path) as agent, client(agent) as http:
        viewer = Viewer(agent, http)
        size_of(await viewer.get("snapshots/camera0/a.jpg.jpg"))
        shutil.rmtree(tmp_path / "state/thumbnails")
        size_of(await viewer.get("snapshots/camera0/a.jpg.jpg"))
