"""Media servers that ask readers for a password."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_core.base.clock import SystemClock
from agent_core.testing.mediamtx import find_mediamtx, running_mediamtx
from agent_core.testing.waiting import eventually
from embedded_server import EmbeddedServerSettings
from embedded_server import serving as serving_embedded
from rtsp_tier.messages import Failed, Reason, Taken
from tests.odd.camera import Camera
from tests.odd.video import Video
from tests.odd.video import encode as encode_video

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
USER, PASSWORD = "reader", "p@ss#w&rd[1]"
KINDS = ["embedded", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode_video(tmp_path_factory.mktemp("video"), "H264", *X264)


@asynccontextmanager
async def embedded(scheme: str) -> AsyncIterator[tuple[str, str]]:
    users = [{"name": USER, "password": PASSWORD, "actions": ["api", "publish", "read"]}]
    settings = EmbeddedServerSettings.model_validate(
        {"api_port": 0, "rtsp_port": 0, "users": users, "rtsp_auth_methods": [scheme]}
    )
    async with serving_embedded(settings, SystemClock()) as server:
        endpoints = await server.wait_endpoints()
        yield endpoints.api_url, endpoints.rtsp_url


@asynccontextmanager
async def mediamtx(scheme: str, folder: Path) -> AsyncIterator[tuple[str, str]]:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX: set MEDIAMTX_BIN or put mediamtx on PATH")
    permissions = [{"action": each} for each in ("api", "publish", "read")]
    users = [{"user": USER, "pass": PASSWORD, "ips": [], "permissions": permissions}]
    settings = {"authInternalUsers": users, "rtspAuthMethods": [scheme]}
    async with running_mediamtx(program, folder, settings=settings) as server:
        yield server.api_url, server.rtsp_url


@pytest.mark.parametrize("scheme", ["basic", "digest"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_right_password_opens_a_stream_and_a_wrong_one_is_reported(
    worker: Any, video: Video, tmp_path: Path, kind: str, scheme: str
) -> None:
    server = embedded(scheme) if kind == "embedded" else mediamtx(scheme, tmp_path)
    async with server as (api_url, rtsp_url), Camera(video=video).serving() as port:
        async with httpx.AsyncClient(base_url=api_url, auth=(USER, PASSWORD), timeout=30) as api:
            source = {"source": f"rtsp://127.0.0.1:{port}/cam", "rtspTransport": "tcp"}
            added = await api.post("/v3/config/paths/add/door", json=source)
            assert added.status_code == 200

            async def is_live() -> bool:
                return bool((await api.get("/v3/paths/get/door")).json().get("ready"))

            await eventually(is_live, timeout_s=30)
        url = f"{rtsp_url}/door"
        assert isinstance(await worker.take_once(url, user=USER, password=PASSWORD), Taken)
        for user, password in ((USER, "wrong"), (None, None)):
            failed = await worker.take_once(url, user=user, password=password)
            assert isinstance(failed, Failed)
            assert failed.reason is Reason.CREDENTIALS


async def test_no_password_is_in_the_process_table(worker: Any) -> None:
    await worker.take_once("rtsp://127.0.0.1:1/x", user="u", password="hunter2-in-a-message")
    process = Path(f"/proc/{worker.process.pid}")
    for name in ("cmdline", "environ"):
        assert b"hunter2-in-a-message" not in (process / name).read_bytes()
