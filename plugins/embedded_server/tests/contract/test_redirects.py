"""Redirects that the source of a camera judges; the cameras are real RTSP servers on loopback addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import httpx
import pytest

from agent_core.base.clock import SystemClock
from agent_core.plugin import CaptureFailed
from agent_core.testing import FakeRedirects
from embedded_server import EmbeddedServerSettings, serving
from tests.odd.camera import PACKET, Camera

REFUSED = CaptureFailed(
    "192.0.2.7 is in none of the networks.", reason="network_not_allowed", suggestion="No."
)


@dataclass
class Judged:
    """Embedded server whose redirects `judge` answers."""

    api: httpx.AsyncClient
    judge: FakeRedirects = field(default_factory=FakeRedirects)

    async def add(self, source: str) -> None:
        added = await self.api.post("/v3/config/paths/add/cam", json={"source": source})
        assert added.status_code == 200

    async def inbound_bytes(self) -> int:
        found = await self.api.get("/v3/paths/get/cam")
        return int(found.json()["inboundBytes"]) if found.status_code == 200 else 0


@pytest.fixture
async def judged(tmp_path: Path) -> AsyncIterator[Judged]:
    judge = FakeRedirects()
    settings = EmbeddedServerSettings(api_port=0, rtsp_port=0, record_path=f"{tmp_path}/%path/%s")
    async with serving(settings, SystemClock(), redirects=judge) as server:
        endpoints = await server.wait_endpoints()
        known = (endpoints.credentials.user, endpoints.credentials.password)
        async with httpx.AsyncClient(base_url=endpoints.api_url, auth=known, timeout=15) as api:
            yield Judged(api, judge)


@asynccontextmanager
async def redirecting(location: str) -> AsyncIterator[tuple[Camera, int]]:
    """Run a camera that redirects /cam to `location`."""
    camera = Camera(redirect=location, password="s3cret")
    async with camera.serving() as port:
        yield camera, port


async def test_a_redirect_that_the_source_refuses_is_not_opened(
    judged: Judged, caplog: pytest.LogCaptureFixture
) -> None:
    judged.judge.answers["cam"] = REFUSED
    target = Camera()
    async with target.serving() as other:
        location = f"rtsp://127.0.0.1:{other}/other?token=t0ken"
        async with redirecting(location) as (_, port):
            await judged.add(f"rtsp://op:s3cret@127.0.0.1:{port}/cam")
            with anyio.fail_after(20):
                while "the source failed" not in caplog.text:
                    await anyio.sleep(0.02)
    assert target.accepted == 0
    assert set(judged.judge.asked) == {("cam", location)}
    assert "192.0.2.7 is in none of the networks." in caplog.text
    assert "t0ken" not in caplog.text
    assert "s3cret" not in caplog.text


async def test_the_address_that_the_source_admits_is_opened_without_the_password(judged: Judged) -> None:
    """The camera names a host that does not resolve: nothing but the admitted address can have been opened."""
    target = Camera()
    async with target.serving() as other, redirecting("rtsp://a:b@camera.invalid/other") as (_, port):
        judged.judge.answers["cam"] = f"rtsp://127.0.0.1:{other}/other"
        await judged.add(f"rtsp://op:s3cret@127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while await judged.inbound_bytes() < len(PACKET):
                await anyio.sleep(0.02)
    assert target.accepted == 1


async def test_a_path_without_a_judge_keeps_the_server_s_own_rule(judged: Judged) -> None:
    async with replace(Camera(redirect="rtsp://127.0.0.1:{port}/other")).serving() as port:
        await judged.add(f"rtsp://127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while await judged.inbound_bytes() < len(PACKET):
                await anyio.sleep(0.02)
    assert [path for path, _ in judged.judge.asked] == ["cam"]


async def test_the_camera_itself_under_another_name_gets_its_password(judged: Judged) -> None:
    camera = Camera(redirect="rtsp://camera.invalid:{port}/other", password="s3cret")
    async with camera.serving() as port:
        judged.judge.answers["cam"] = f"rtsp://127.0.0.1:{port}/other"
        await judged.add(f"rtsp://op:s3cret@127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while await judged.inbound_bytes() < len(PACKET):
                await anyio.sleep(0.02)
