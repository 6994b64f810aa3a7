"""Contracts of sources and tiers, as tests that a plugin author inherits.

A subclass in a test module says what to test; pytest, with anyio's plugin, does the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.models import Camera, CameraId, CameraStatus, CapturedAtSource, DetectedCamera
from agent_core.cameras.reports import checked_camera
from agent_core.plugin import AgentError, CameraSource, CaptureRequest, PictureFormat, SnapshotTier
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
    """The process ids of this process's children."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


#: Between two looks of `responsive` at the event loop.
_LOOK_S = 0.02


@asynccontextmanager
async def responsive(limit_s: float) -> AsyncIterator[None]:
    """Fail if the event loop stands still for `limit_s` at a time while the context is open.

    A provider runs in the agent's own event loop: while it blocks, no client is answered and no camera is read.

    Raises:
        AssertionError: it did; the message says for how long, and what to do.
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
        await anyio.lowlevel.checkpoint()  # into its first pause
        try:
            yield
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised below, outside of the task group, as it is
            failure = error
        await anyio.sleep(_LOOK_S)  # so that the last look is over
        tg.cancel_scope.cancel()
    if failure is not None:
        raise failure
    assert longest_s < limit_s, (
        f"the event loop stood still for {longest_s:.1f} s: await what takes long, or run it in a worker thread "
        "with anyio.to_thread.run_sync"
    )


def as_camera(detected: DetectedCamera, camera_id: str = "camera0") -> Camera:
    """`detected` as the core would hold it, connected."""
    return Camera(CameraId(camera_id), CameraStatus.CONNECTED, 0.0, detected)


@pytest.mark.anyio
class CameraSourceContract(ABC):
    """Inherit, implement `make_source`, and set `inventory_limit_s` if the first inventory may take longer.

    `blocking_limit_s` is how long the source may keep the event loop from running at a time.
    """

    inventory_limit_s = 10.0
    blocking_limit_s = 1.0

    @abstractmethod
    def make_source(self) -> CameraSource:
        """A new source, as the plugin's hook would return it."""

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
    """Inherit, implement `make_tier` and `camera`; the camera must be one that the tier can photograph now.

    `blocking_limit_s` is how long the tier may keep the event loop from running at a time.
    """

    capture_limit_s = 20.0
    blocking_limit_s = 1.0

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
