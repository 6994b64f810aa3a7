"""Frame sockets of cameras with coded video, read by the worker: what it gives out, and when it says it was taken."""

import socket
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from agent_core.testing.waiting import eventually
from rtsp_tier.messages import Failed, ReaderEnded, ReaderOpen, Reason, Taken
from rtsp_tier.worker.faults import failure_at_read
from tests.odd.coded_camera import Clip, CodedCamera, encoded, number_in


class StartWorker(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[Any]: ...


CLIPS: dict[str, dict[str, Any]] = {
    "h264": {"codec": "h264"},
    "h264_long": {"codec": "h264", "group": 300, "pictures": 300},
    "h264_reordered": {"codec": "h264", "b_frames": 2},
    "h265": {"codec": "h265"},
    "h265_long": {"codec": "h265", "group": 300, "pictures": 300},
    "h265_reordered": {"codec": "h265", "b_frames": 2},
}


@pytest.fixture(params=list(CLIPS))
def clip(request: pytest.FixtureRequest) -> Clip:
    return encoded(**CLIPS[request.param])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera0.sock"


def check_honest(camera: CodedCamera, taken: Taken) -> None:
    """Fail if the picture was taken before it says."""
    assert taken.captured_s <= camera.latest_exposure_s(number_in(taken.data)) + 1e-5


@pytest.mark.parametrize("max_age_s", [0.0, 0.5, 60.0])
async def test_a_picture_of_its_own_reader_is_as_new_as_asked_and_no_older_than_it_says(
    worker: Any, path: Path, clip: Clip, max_age_s: float
) -> None:
    camera = CodedCamera(clip)
    async with camera.serving(path) as url:
        for _ in range(3):
            asked_s = time.monotonic()
            taken = await worker.take_once(url, max_age_s=max_age_s)
            assert isinstance(taken, Taken), taken
            assert (taken.width, taken.height, taken.source) == (*clip.size, "device")
            assert taken.captured_s >= asked_s - max_age_s
            check_honest(camera, taken)
    assert camera.connections == 3


async def test_pictures_of_a_resident_reader_are_as_new_as_asked_and_no_older_than_they_say(
    worker: Any, path: Path, clip: Clip
) -> None:
    camera = CodedCamera(clip)
    async with camera.serving(path) as url:
        assert isinstance(await worker.open(1, url), ReaderOpen)
        for max_age_s in (60.0, 0.5, 0.0, 0.0, 60.0, 0.0):
            asked_s = time.monotonic()
            taken = await worker.take(1, max_age_s=max_age_s, key_frame=True)
            assert isinstance(taken, Taken), taken
            assert taken.captured_s >= asked_s - max_age_s
            check_honest(camera, taken)
        assert camera.connections == 1


async def test_a_picture_is_given_out_without_waiting_for_the_next_one(worker: Any, path: Path) -> None:
    """A socket that is silent after the first picture: its blocks are whole pictures."""
    camera = CodedCamera(encoded(), silent_after=1)
    async with camera.serving(path) as url:
        assert isinstance(await worker.take_once(url, max_age_s=60.0), Taken)
        await worker.open(1, url)
        assert isinstance(await worker.take(1, max_age_s=60.0), Taken)


async def test_without_notes_no_picture_of_the_backlog_is_given_out(worker: Any, path: Path) -> None:
    camera = CodedCamera(encoded(group=40), has_notes=False)
    async with camera.serving(path) as url:
        for _ in range(3):
            asked_s = time.monotonic()
            taken = await worker.take_once(url, max_age_s=60.0)
            assert isinstance(taken, Taken), taken
            assert (taken.source, taken.captured_s >= asked_s) == ("estimated", True)
            check_honest(camera, taken)


async def test_settled_pictures_are_waited_for_up_to_the_time_that_the_request_allows(
    worker: Any, path: Path
) -> None:
    now_s = time.monotonic()
    camera = CodedCamera(encoded(), settled_s=now_s + 1.0)
    async with camera.serving(path) as url:
        taken = await worker.take_once(url, unsettled_from_s=now_s + 60)
        assert (taken.is_settled, taken.captured_s >= camera.settled_s) == (True, True)
        camera.settled_s = now_s + 600
        taken = await worker.take_once(url, unsettled_from_s=time.monotonic() + 0.3)
        assert (taken.is_settled, time.monotonic() >= now_s + 0.3) == (False, True)


async def test_a_lost_picture_gives_no_damaged_one(worker: Any, path: Path) -> None:
    """Pictures after the lost one depend on it, so that only those from the next key frame on are given out."""
    camera = CodedCamera(encoded(group=20), leaves_out=5)
    async with camera.serving(path) as url:
        await worker.open(1, url)
        for _ in range(30):
            taken = await worker.take(1, max_age_s=0.0)
            assert isinstance(taken, Taken), taken
            assert not 5 <= number_in(taken.data) < 20


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_socket_that_is_cut_inside_a_picture_gives_the_whole_ones_and_then_ends(
    worker: Any, path: Path, codec: str
) -> None:
    camera = CodedCamera(encoded(codec), cut_after=20)
    async with camera.serving(path) as url:
        assert isinstance(await worker.open(1, url), ReaderOpen)
        taken = await worker.take(1, max_age_s=0.0)
        assert isinstance(taken, Taken)
        check_honest(camera, taken)
        assert (await worker.ended(1)).reason is Reason.STREAM_ENDED
        camera.cut_after = 0
        failed = await worker.take_once(url)
        assert isinstance(failed, Failed)
        assert failed.reason is Reason.STREAM_ENDED


async def test_a_silent_socket_fails_the_picture_at_its_deadline_and_keeps_no_connection(
    worker: Any, path: Path
) -> None:
    camera = CodedCamera(encoded(), silent_after=0)
    async with camera.serving(path) as url:
        failed = await worker.take_once(url, limit_s=1.0)
        assert isinstance(failed, Failed)
        assert (failed.reason, failed.details) == (Reason.TIMED_OUT, "The camera sent no key frame in time.")
        await until_left(camera)


async def test_a_reader_of_a_socket_that_falls_silent_ends(start_worker: StartWorker, path: Path) -> None:
    camera = CodedCamera(encoded(), silent_after=20)
    async with start_worker(silence_timeout_s=0.5) as worker, camera.serving(path) as url:
        await worker.open(1, url)
        ended = await worker.ended(1)
        assert (ended.reason, ended.details) == (
            Reason.TIMED_OUT,
            "The camera's video was silent for too long.",
        )
        await until_left(camera)


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_socket_without_a_server_is_that_of_a_camera_that_is_gone(
    worker: Any, path: Path, *, is_there: bool
) -> None:
    if is_there:
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(path))
    failed = await worker.take_once(f"unix:{path}")
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.details) == (Reason.CAMERA_GONE, "The camera's frame socket is gone.")
    ended = await worker.open(1, f"unix:{path}")
    assert isinstance(ended, ReaderEnded)
    assert ended.reason is Reason.CAMERA_GONE


@pytest.mark.parametrize("fault", [{"cut_after": 0}, {"silent_after": 0}, {"silent_after": 3}])
async def test_the_next_step_for_a_socket_names_no_network_and_no_media_server(
    worker: Any, path: Path, fault: dict[str, Any]
) -> None:
    async with CodedCamera(encoded(), **fault).serving(path) as url:
        failed = await worker.take_once(url, limit_s=1.0, max_age_s=-60.0)
    assert isinstance(failed, Failed)
    assert "amera" in failed.suggestion


def test_every_failure_of_a_socket_has_a_next_step_of_its_own() -> None:
    of_streams = ("stream", "server", "network", "RTSP")
    for error in (EOFError(), TimeoutError(110, ""), ValueError()):
        failure = failure_at_read(error, is_socket=True)
        assert not any(word in failure.suggestion for word in of_streams)
        assert failure.suggestion != failure_at_read(error).suggestion
    assert "network" in failure_at_read(ValueError()).suggestion


async def test_a_camera_that_comes_back_with_another_size_is_read_anew(worker: Any, path: Path) -> None:
    async with CodedCamera(encoded()).serving(path) as url:
        await worker.open(1, url)
        taken = await worker.take(1)
        assert (taken.width, taken.height) == (288, 96)
    assert (await worker.ended(1)).reason is Reason.STREAM_ENDED
    async with CodedCamera(encoded("h265", size=(576, 192))).serving(path) as url:
        await worker.open(2, url)
        taken = await worker.take(2)
        assert (taken.width, taken.height) == (576, 192)


async def test_two_cameras_are_read_at_once(worker: Any, tmp_path: Path) -> None:
    one, other = CodedCamera(encoded()), CodedCamera(encoded("h265"))
    async with one.serving(tmp_path / "1") as first, other.serving(tmp_path / "2") as second:
        await worker.open(1, first)
        await worker.open(2, second)
        for _ in range(5):
            asked = [await worker.ask(1, max_age_s=0.0), await worker.ask(2, max_age_s=0.0)]
            for camera, number in zip((one, other), asked, strict=True):
                taken = await worker.answer(number)
                assert isinstance(taken, Taken)
                check_honest(camera, taken)


async def test_a_closed_reader_leaves_the_camera(worker: Any, path: Path) -> None:
    camera = CodedCamera(encoded())
    async with camera.serving(path) as url:
        await worker.open(1, url)
        await worker.close(1)
        await until_left(camera)


@pytest.mark.timeout(300)
async def test_the_memory_of_a_long_group_is_bounded(start_worker: StartWorker, path: Path) -> None:
    """300 pictures of 1920x1080 in one group, which are far more than `group_limit_bytes` if they are kept decoded."""
    camera = CodedCamera(encoded(size=(1920, 1080), group=300, pictures=300))
    async with start_worker(group_limit_bytes=8 << 20) as worker, camera.serving(path) as url:
        before_bytes = (await worker.ping()).rss_bytes
        await worker.open(1, url)
        for number in range(6):
            taken = (
                await worker.take(1, max_age_s=0.0, limit_s=60.0)
                if number % 2
                else await worker.take_once(url)
            )
            assert isinstance(taken, Taken), taken
            check_honest(camera, taken)
        decoded_bytes = 300 * 1920 * 1080 * 3 // 2
        assert (await worker.ping()).rss_bytes - before_bytes < decoded_bytes / 6


async def until_left(camera: CodedCamera) -> None:
    async def has_left() -> bool:
        return camera.open == 0

    await eventually(has_left, timeout_s=40)
