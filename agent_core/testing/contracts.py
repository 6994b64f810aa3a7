"""What every source and every tier promises, as tests that a plugin author inherits.

A subclass in a test module says what to test; pytest, with anyio's plugin, does the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from agent_core.clock import SystemClock
from agent_core.models import Camera, CameraId, CameraStatus, CapturedAtSource, DetectedCamera
from agent_core.plugin import AgentError, CameraSource, CaptureRequest, PictureFormat, SnapshotTier
from agent_core.plugin.jpeg import inspect

__all__ = ("CameraSourceContract", "RecordingReport", "TierContract", "as_camera", "children")


def children() -> set[int]:
    """The process ids of this process's children."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def as_camera(detected: DetectedCamera, camera_id: str = "camera0") -> Camera:
    """`detected` as the core would hold it, connected."""
    return Camera(CameraId(camera_id), CameraStatus.CONNECTED, 0.0, detected)


class RecordingReport:
    """A `CameraReport` that keeps what it was told."""

    def __init__(self) -> None:
        self.cameras: dict[str, DetectedCamera] = {}
        self.lost: list[tuple[str, str]] = []
        self.failures: list[tuple[str, str]] = []

    def connected(self, camera: DetectedCamera) -> None:
        self.cameras[camera.key] = camera

    def disconnected(self, key: str, reason: str) -> None:
        self.cameras.pop(key, None)
        self.lost.append((key, reason))

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        self.failures.append((key, reason))


@pytest.mark.anyio
class CameraSourceContract(ABC):
    """Inherit, implement `make_source`, and set `inventory_limit_s` if the first inventory may take longer."""

    inventory_limit_s = 10.0

    @abstractmethod
    def make_source(self) -> CameraSource:
        """A new source, as the plugin's hook would return it."""

    async def watch_once(self) -> RecordingReport:
        """Run one `watch` up to its first inventory, then cancel it."""
        report = RecordingReport()
        with anyio.fail_after(self.inventory_limit_s + 5):
            async with anyio.create_task_group() as tg:
                await tg.start(self.make_source().watch, report)
                tg.cancel_scope.cancel()
        return report

    async def test_it_has_a_name(self) -> None:
        assert self.make_source().name.strip()

    async def test_it_says_when_the_first_inventory_is_done_and_ends_when_cancelled(self) -> None:
        await self.watch_once()

    async def test_what_it_reports_can_be_told_apart_and_shown(self) -> None:
        cameras = (await self.watch_once()).cameras
        fingerprints = {(each.fingerprint, each.number_hint) for each in cameras.values()}
        assert len(fingerprints) == len(cameras)
        for key, camera in cameras.items():
            assert key == camera.key
            assert camera.name.strip()
            assert "/dev/" not in camera.name

    async def test_it_can_be_watched_again_and_reports_the_same(self) -> None:
        first, second = await self.watch_once(), await self.watch_once()
        assert _fingerprints(first.cameras.values()) == _fingerprints(second.cameras.values())

    async def test_it_leaves_no_process_behind(self) -> None:
        before = children()
        await self.watch_once()
        assert children() <= before


def _fingerprints(cameras: Iterable[DetectedCamera]) -> set[object]:
    return {each.fingerprint for each in cameras}


@pytest.mark.anyio
class TierContract(ABC):
    """Inherit, implement `make_tier` and `camera`; the camera must be one that the tier can photograph now."""

    capture_limit_s = 20.0

    @abstractmethod
    def make_tier(self) -> SnapshotTier:
        """A new tier, as the plugin's hook would return it."""

    @abstractmethod
    def camera(self) -> Camera:
        """A camera that the tier supports."""

    async def test_it_has_a_name_and_a_rank(self) -> None:
        tier = self.make_tier()
        assert tier.name.strip()
        assert 0 <= tier.rank <= 3

    async def test_it_supports_its_camera_and_refuses_an_empty_one_quietly(self) -> None:
        tier, camera = self.make_tier(), self.camera()
        assert tier.supports(camera) is True
        bare = DetectedCamera("bare", "Bare", camera.detected.fingerprint, None)
        assert tier.supports(as_camera(bare)) in {True, False}

    async def test_a_capture_is_a_whole_picture_and_fresh_enough(self) -> None:
        called_s = SystemClock().monotonic_s()
        with anyio.fail_after(self.capture_limit_s):
            picture = await self.make_tier().capture(self.camera(), self._request(called_s))
        assert picture.captured_s >= called_s
        assert picture.captured_at_source in set(CapturedAtSource)
        if picture.format is PictureFormat.JPG:
            info = inspect(picture.data)
            assert (info.width, info.height) == (picture.width, picture.height)

    async def test_a_cancelled_capture_ends_at_once_and_leaves_no_process(self) -> None:
        before = children()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._capture_quietly)
                await anyio.sleep(0.05)  # into the capture, wherever that is
                tg.cancel_scope.cancel()
        assert children() <= before

    async def _capture_quietly(self) -> None:
        try:
            await self.make_tier().capture(self.camera(), self._request(SystemClock().monotonic_s()))
        except AgentError:
            return  # a tier may say that it cannot, at any time

    def _request(self, not_before_s: float) -> CaptureRequest:
        return CaptureRequest(not_before_s, not_before_s + self.capture_limit_s)
