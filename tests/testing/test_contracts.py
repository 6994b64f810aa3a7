"""The contracts fail for a provider that blocks the event loop, and for one that returns garbage."""

import time
from collections.abc import Callable

import anyio
import pytest

from agent_core.base.models import (
    Camera,
    CapturedAtSource,
    DetectedCamera,
    Fingerprint,
    Picture,
    PictureFormat,
)
from agent_core.plugin import (
    NOT_ASKED,
    CameraReport,
    CameraSource,
    CaptureFailed,
    CaptureRequest,
    SnapshotTier,
    Started,
)
from agent_core.testing import CameraSourceContract, RecordingReport, TierContract, as_camera, responsive
from agent_core.testing.scripted_producer import a_jpeg

#: Much longer than what a contract allows, so that a busy machine changes nothing.
BLOCKING_S = 3.0
CAMERA = DetectedCamera("one", "One", Fingerprint("some", "1"), None)


def blocks() -> None:
    time.sleep(BLOCKING_S)


class Source(CameraSource):
    name = "some"

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        self._before()
        report.connected(CAMERA)
        task_status.started()
        await anyio.sleep_forever()


class Tier(SnapshotTier):
    name, rank = "some", 0

    def __init__(self, before: Callable[[], None], answer: object = None) -> None:
        self._before = before
        self._answer = answer

    def supports(self, camera: Camera) -> bool:
        return True

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        self._before()
        if self._answer is not None:
            return self._answer  # type: ignore[return-value]
        now_s = time.monotonic()
        return Picture(a_jpeg(), PictureFormat.JPG, 4, 3, now_s, CapturedAtSource.DEVICE)


class OfSource(CameraSourceContract):
    __test__ = False

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def make_source(self) -> CameraSource:
        return Source(self._before)


class OfTier(TierContract):
    __test__ = False

    def __init__(self, tier: SnapshotTier) -> None:
        self._tier = tier

    def make_tier(self) -> SnapshotTier:
        return self._tier

    def camera(self) -> Camera:
        return as_camera(CAMERA)


async def test_a_source_that_blocks_breaks_its_contract() -> None:
    with pytest.raises(AssertionError, match="the event loop was blocked for"):
        await OfSource(blocks).watch_once()


async def test_a_tier_that_blocks_breaks_its_contract() -> None:
    with pytest.raises(AssertionError, match=r"anyio\.to_thread"):
        await OfTier(Tier(blocks)).test_a_capture_is_a_whole_picture_and_fresh_enough()


async def test_a_tier_that_returns_garbage_breaks_its_contract() -> None:
    class Almost:
        captured_s = float("inf")

    with pytest.raises(CaptureFailed, match="returned Almost instead of a Picture"):
        await OfTier(Tier(lambda: None, Almost())).test_a_capture_is_a_whole_picture_and_fresh_enough()


async def test_what_is_raised_inside_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with responsive(60):
            raise ZeroDivisionError
    with anyio.move_on_after(0.01) as scope:
        async with responsive(60):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


def detected(key: str) -> DetectedCamera:
    return DetectedCamera(key, key, Fingerprint("test", key), None)


async def test_a_recording_report_keeps_every_call() -> None:
    report = RecordingReport()
    report.connected(detected("a"))
    report.failed("b", "Busy.", detected("b"))
    report.disconnected("a", "Unplugged.")
    report.disconnected("a", "Unplugged again.")
    await report.until(("connected", "a"), ("failed", "b"), ("disconnected", "a"), ("disconnected", "a"))
    assert (report.lost, report.failures) == (
        [("a", "Unplugged."), ("a", "Unplugged again.")],
        [("b", "Busy.")],
    )
    assert [*report.cameras] == ["b"]
    with pytest.raises(AssertionError):
        await report.until(("connected", "a"))


@pytest.mark.parametrize("reason", ["", " ", "cannot open /dev/video0"])
def test_a_recording_report_refuses_reasons_that_no_operator_may_read(reason: str) -> None:
    report = RecordingReport()
    with pytest.raises(AssertionError):
        report.disconnected("a", reason)
    with pytest.raises(AssertionError):
        report.failed("a", reason)
    assert report.history == []
