"""Redirects of cameras are judged by their sources."""

from dataclasses import dataclass, replace

import pytest

from agent_core.base.errors import AgentError, CaptureFailed, NotFound
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    Fingerprint,
    MediaInput,
    Url,
)
from agent_core.cameras.gates import CameraRedirects

PLAIN = Camera(
    CameraId("camera1"),
    CameraStatus.CONNECTED,
    0.0,
    DetectedCamera("k", "Yard", Fingerprint("test", serial="k"), Url("rtsp://192.0.2.2/")),
)


@dataclass
class Gate:
    """Gate that moves redirects to a fixed address."""

    problem: Exception | None = None

    async def admit(self) -> MediaInput:
        raise NotImplementedError

    async def admit_redirect(self, url: str) -> str:
        if self.problem is not None:
            raise self.problem
        return url.replace("camera.test", "192.0.2.3")


def redirects(*cameras: Camera) -> CameraRedirects:
    known = {each.id: each for each in cameras}

    def camera(name: str) -> Camera:
        if name not in known:
            raise NotFound("There is no such camera.", resource="camera", id=name)
        return known[CameraId(name)]

    return CameraRedirects(camera)


def gated(problem: Exception | None = None) -> Camera:
    return replace(PLAIN, detected=replace(PLAIN.detected, gate=Gate(problem)))


async def test_the_gate_chooses_the_address() -> None:
    assert await redirects(gated()).admit("camera1", "rtsp://camera.test/x") == "rtsp://192.0.2.3/x"


@pytest.mark.parametrize("cameras", [(), (PLAIN,)])
async def test_without_a_gate_the_media_server_decides(cameras: tuple[Camera, ...]) -> None:
    assert await redirects(*cameras).admit("camera1", "rtsp://192.0.2.3/") is None


@pytest.mark.parametrize(
    ("camera", "reason"),
    [
        (gated(CaptureFailed("No.", reason="own_address")), "own_address"),
        (gated(ValueError("a fault")), "source_error"),
        (replace(PLAIN, removed=True), "camera_removed"),
    ],
)
async def test_a_redirect_is_refused(camera: Camera, reason: str) -> None:
    with pytest.raises(AgentError) as refused:
        await redirects(camera).admit("camera1", "rtsp://192.0.2.3/")
    assert refused.value.reason == reason
