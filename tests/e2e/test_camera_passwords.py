"""Cameras with a password: photographed through the media server, and the password is nowhere to be seen."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import (
    CameraId,
    CameraReport,
    CameraSource,
    DetectedCamera,
    Fingerprint,
    MediaInput,
    Plugin,
    Settings,
    Url,
    hookimpl,
)
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import find_mediamtx
from agent_core.testing.waiting import eventually
from tests.media_servers import running_server
from tests.odd.camera import USER, Camera
from tests.odd.video import encode

from .conftest import descendants

#: With characters that an address, a shell or a message may treat in a special way.
PASSWORD = "zk4pq@u/w:xv'7"
#: Parts of the password and of its encoded form that no other text has.
TRACES = ("zk4pq", "u/w:xv", "u%2Fw%3Axv")
LIMIT_S = 60
Observe = Callable[[str], None]
PLUGINS = ("ffmpeg_tier", "rtsp_tier")
_ANY_PORT = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)


class Recorder(CameraSource):
    """Source of one network camera, as a plugin for network video recorders would report it."""

    name = "recorder"

    def __init__(self, media_input: MediaInput) -> None:
        self._input = media_input

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        report.connected(
            DetectedCamera(
                "front",
                "Front door",
                Fingerprint("recorder", serial="front"),
                self._input,
                configured_id=CameraId("camera0"),
            )
        )
        task_status.started()
        await anyio.sleep_forever()


def source_of(media_input: MediaInput) -> type[Plugin[Settings]]:
    class Recorders(Plugin[Settings]):
        Settings = Settings

        @hookimpl
        def agent_camera_sources(self) -> Iterable[CameraSource]:
            return [Recorder(media_input)]

    return Recorders


@asynccontextmanager
async def configured(mode: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Give the configuration of an agent whose media server is of that kind; run the server if it is external."""
    base: dict[str, Any] = {"close_after_s": 1, "start_timeout_s": 15}
    if mode == "embedded":
        server = {
            "enabled": [*PLUGINS, "embedded_server"],
            "embedded_server": {"api_port": 0, "rtsp_port": 0},
        }
        yield {"plugins": server, "media_server": base}
        return
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    plugins = {"enabled": [*PLUGINS]}
    if mode == "managed":
        managed = {"mode": "managed", "program": program, **_ANY_PORT}
        yield {"plugins": plugins, "media_server": {**base, **managed}}
        return
    async with running_server("mediamtx", folder / "media_server") as running:
        urls = {"api_url": running.api_url, "rtsp_url": running.rtsp_url}
        yield {"plugins": plugins, "media_server": {**base, "mode": "external", **urls}}


class Eyes:
    """What others can see: texts to clients, and command lines and environments of the processes below this one."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self.texts: list[str] = []
        self.processes: set[bytes] = set()

    def saw(self, text: str) -> None:
        self.texts.append(text)
        self._observe(text)

    async def watch(self) -> None:
        """Look at the processes again and again, until cancelled."""
        while True:
            for pid in descendants(os.getpid()):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        self.processes.add(Path(f"/proc/{pid}/{name}").read_bytes())
            await anyio.sleep(0.05)

    def all(self, log: str, folder: Path) -> str:
        files = (each.read_bytes() for each in folder.rglob("*") if each.is_file())
        seen = [*self.processes, *files]
        return "\n".join([*self.texts, log, *(each.decode(errors="replace") for each in seen)])


async def photographed(client: AgentClient) -> Mapping[str, Any]:
    """Take a snapshot as soon as the media server runs."""

    async def taken() -> Mapping[str, Any] | None:
        try:
            return dict(await client.call("take_snapshot", device="camera0", deadline_ms=20_000))
        except CallFailed:
            return None

    return await eventually(taken, timeout_s=LIMIT_S)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Any:
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
    return encode(tmp_path_factory.mktemp("video"), "H264", *encoder)


REAL = pytest.mark.real_mediamtx


@pytest.mark.parametrize("scheme", ["basic", "digest"])
@pytest.mark.parametrize(
    "mode", ["embedded", pytest.param("managed", marks=REAL), pytest.param("external", marks=REAL)]
)
async def test_a_camera_with_a_password_is_photographed_through_the_media_server_only(
    mode: str,
    scheme: str,
    video: Any,
    tmp_path: Path,
    observe: Observe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    camera = Camera(password=PASSWORD, scheme=scheme, one_nonce=True, video=video)
    eyes = Eyes(observe)
    async with (
        camera.serving() as port,
        configured(mode, tmp_path) as config,
        anyio.create_task_group() as tg,
    ):
        tg.start_soon(eyes.watch)
        recorder = source_of(Url.with_credentials(f"rtsp://127.0.0.1:{port}/cam", USER, PASSWORD))
        folder = tmp_path / "agent"
        folder.mkdir()
        async with (
            running_agent(
                plugins={"recorder": recorder}, config=config, folder=folder, observe=eyes.saw
            ) as agent,
            agent.client("admin") as client,
            client.subscribe(["snapshot.taken"]) as events,
        ):
            first = await photographed(client)
            assert (await anext(aiter(events))).params["device"] == "camera0"
            second = await photographed(client)
            assert {first["tier_used"], second["tier_used"]} <= {2, 3}, (first, second)
            for method in (
                "get_camera_status",
                "get_stream_status",
                "get_stream_url",
                "get_camera_capabilities",
            ):
                await client.call(method, device="camera0")
            for method in ("get_camera_list", "get_streams", "get_status", "get_system_status"):
                await client.call(method)
            answer = await client.call("start_recording", device="camera0")
            assert answer["status"], answer
            await client.call("stop_recording", device="camera0")
        tg.cancel_scope.cancel()
    seen = eyes.all(caplog.text, folder)
    assert "front" in seen
    assert any(b"rtsp_tier.worker" in each for each in eyes.processes)
    assert not [each for each in eyes.processes if f"127.0.0.1:{port}/".encode() in each]
    assert not [trace for trace in TRACES if trace in seen]


async def test_a_wrong_password_is_a_reason_and_is_not_seen_either(
    tmp_path: Path, observe: Observe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    eyes = Eyes(observe)
    async with Camera(password="right").serving() as port, configured("embedded", tmp_path) as config:
        recorder = source_of(Url.with_credentials(f"rtsp://127.0.0.1:{port}/cam", USER, PASSWORD))
        config["media_server"]["start_timeout_s"] = 2
        async with (
            running_agent(
                plugins={"recorder": recorder}, config=config, folder=tmp_path, observe=eyes.saw
            ) as agent,
            agent.client("admin") as client,
        ):

            async def refused() -> CallFailed | None:
                try:
                    await client.call("start_streaming", device="camera0")
                except CallFailed as error:
                    return error if error.reason != "media_server_starting" else None
                raise AssertionError("a camera gave its stream for a wrong password")

            error = await eventually(refused, timeout_s=LIMIT_S)
    assert error.reason == "start_timed_out"
    assert "answers 401 to DESCRIBE: it needs another user or password" in caplog.text
    seen = eyes.all(caplog.text, tmp_path)
    assert not [trace for trace in TRACES if trace in seen]
