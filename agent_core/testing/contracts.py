"""Contracts of sources and tiers, as tests that a plugin author inherits.

A subclass in a test module makes the provider; pytest with anyio's plugin runs the inherited tests.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    CapturedAtSource,
    DetectedCamera,
    DeviceState,
    FrameSocket,
    VideoCodec,
)
from agent_core.cameras.reports import checked_camera
from agent_core.plugin import AgentError, CameraSource, CaptureRequest, PictureFormat, SnapshotTier, TierNeed
from agent_core.plugin.jpeg import inspect
from agent_core.snapshots.captured import checked_picture
from agent_core.testing.context import RecordingReport

__all__ = (
    "CameraSourceContract",
    "TierContract",
    "as_camera",
    "children",
    "responsive",
)


def children() -> set[int]:
    """Return the process ids of this process's children."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


#: Pause between two checks of the event loop by `responsive`.
_LOOK_S = 0.02


@asynccontextmanager
async def responsive(limit_s: float) -> AsyncIterator[None]:
    """Fail if the event loop is blocked for `limit_s` at a time while the context is open.

    A provider runs in the agent's event loop: while it blocks, no client is answered and no camera is read.

    Raises:
        AssertionError: the loop was blocked; the message tells for how long, and the remedy.
    """
    longest_s = 0.0
    failure: BaseException | None = None

    async def look() -> None:
        nonlocal longest_s
        while True:
            before_s = anyio.current_time()
            await anyio.sleep(_LOOK_S)
            longest_s = max(longest_s, anyio.current_time() - before_s - _LOOK_S)

    async with anyio.create_task_group() as tg:
        tg.start_soon(look)
        await anyio.lowlevel.checkpoint()  # let it enter its first pause
        try:
            yield
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised below, outside the task group, unchanged
            failure = error
        await anyio.sleep(_LOOK_S)  # let the last check end
        tg.cancel_scope.cancel()
    if failure is not None:
        raise failure
    assert longest_s < limit_s, (
        f"the event loop was blocked for {longest_s:.1f} s: await slow operations, or run them in a worker thread "
        "with anyio.to_thread.run_sync"
    )


def as_camera(detected: DetectedCamera, camera_id: str = "camera0") -> Camera:
    """Return `detected` as a connected camera of the core."""
    return Camera(CameraId(camera_id), CameraStatus.CONNECTED, 0.0, detected)


@pytest.mark.anyio
class CameraSourceContract(ABC):
    """Contract of camera sources: inherit it and implement `make_source`.

    Attributes:
        inventory_limit_s: limit of the first inventory.
        blocking_limit_s: longest time for which the source may block the event loop at once.
    """

    inventory_limit_s = 10.0
    blocking_limit_s = 1.0

    @abstractmethod
    def make_source(self) -> CameraSource:
        """Return a new source, as the plugin's hook would return it."""

    async def watch_once(self) -> RecordingReport:
        """Run one `watch` up to its first inventory, then cancel it."""
        report = RecordingReport()
        with anyio.fail_after(self.inventory_limit_s + 5):
            async with responsive(self.blocking_limit_s), anyio.create_task_group() as tg:
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
            checked_camera("under test", camera)
            assert camera.name.strip()
            assert "/dev/" not in camera.name

    async def test_a_camera_of_coded_video_tells_the_state_of_its_device(
        self,
    ) -> None:
        for camera in (await self.watch_once()).cameras.values():
            if (
                isinstance(camera.media_input, FrameSocket)
                and camera.media_input.codec is not VideoCodec.MJPEG
            ):
                reporter: object = camera.frames or camera.device
                assert isinstance(getattr(reporter, "device", None), DeviceState), "give it `device=broker`"

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
    """Contract of snapshot tiers: inherit it and implement `make_tier` and `camera`.

    Attributes:
        capture_limit_s: limit of one capture.
        blocking_limit_s: longest time for which the tier may block the event loop at once.
    """

    capture_limit_s = 20.0
    blocking_limit_s = 1.0

    @abstractmethod
    def make_tier(self) -> SnapshotTier:
        """Return a new tier, as the plugin's hook would return it."""

    @abstractmethod
    def camera(self) -> Camera:
        """Return a camera that the tier supports and can photograph now."""

    async def test_it_has_a_name_and_a_rank_and_says_what_it_needs(self) -> None:
        tier = self.make_tier()
        assert tier.name.strip()
        assert 0 <= tier.rank <= 3
        assert isinstance(tier.needs, TierNeed)

    async def test_it_supports_its_camera_and_refuses_an_empty_one_quietly(self) -> None:
        tier, camera = self.make_tier(), self.camera()
        assert tier.supports(camera) is True
        bare = DetectedCamera("bare", "Bare", camera.detected.fingerprint, None)
        assert tier.supports(as_camera(bare)) in {True, False}

    async def test_a_capture_is_a_whole_picture_and_fresh_enough(self) -> None:
        called_s = SystemClock().monotonic_s()
        with anyio.fail_after(self.capture_limit_s):
            async with responsive(self.blocking_limit_s):
                taken = await self.make_tier().capture(self.camera(), self._request(called_s))
        picture = checked_picture("under test", taken)
        assert picture.captured_s >= called_s
        assert picture.captured_at_source in set(CapturedAtSource)
        if picture.format is PictureFormat.JPG:
            info = inspect(picture.data)
            assert (info.width, info.height) == (picture.width, picture.height)

    async def test_a_cancelled_capture_ends_at_once_and_leaves_no_process(self) -> None:
        before = children()
        with anyio.fail_after(5):
            async with responsive(self.blocking_limit_s), anyio.create_task_group() as tg:
                tg.start_soon(self._capture_quietly)
                await anyio.sleep(0.05)  # let the capture begin
                tg.cancel_scope.cancel()
        assert children() <= before

    async def _capture_quietly(self) -> None:
        try:
            await self.make_tier().capture(self.camera(), self._request(SystemClock().monotonic_s()))
        except AgentError:
            return  # a tier may refuse at any time

    def _request(self, not_before_s: float) -> CaptureRequest:
        return CaptureRequest(not_before_s, not_before_s + self.capture_limit_s)
