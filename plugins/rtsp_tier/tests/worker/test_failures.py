"""Cameras that fail, refuse or misbehave: each gives a reason, and nothing is left behind."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from agent_core.testing.waiting import eventually
from rtsp_tier.messages import Failed, OpenReader, ReaderEnded, ReaderOpen, Reason, Taken
from tests.odd.camera import USER, Camera, Then
from tests.odd.video import Video
from tests.odd.video import encode as encode_video

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
#: Limits short enough for a test and long enough for a busy host.
SHORT = {"connect_timeout_s": 3.0, "silence_timeout_s": 1.5}
#: Pictures before a failure: a key frame, and some after it.
SOME = 13


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode_video(tmp_path_factory.mktemp("video"), "H264", *X264)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode_video(tmp_path_factory.mktemp("video"), "H264", *X264, size="192x144")


@pytest.fixture
async def hasty(start_worker: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Any]:
    async with start_worker(**SHORT) as worker:
        yield worker


@asynccontextmanager
async def serving(camera: Camera) -> AsyncIterator[str]:
    async with camera.serving() as port:
        yield f"rtsp://127.0.0.1:{port}/cam"


#: What a camera does instead of opening a stream, and the reason that results.
REFUSALS = {
    "silent at once": (Camera(silent_at="accept"), {Reason.TIMED_OUT}),
    "silent at DESCRIBE": (Camera(silent_at="DESCRIBE"), {Reason.TIMED_OUT}),
    "silent at PLAY": (Camera(silent_at="PLAY"), {Reason.TIMED_OUT}),
    "closes at once": (Camera(closes_at="accept"), {Reason.STREAM_DAMAGED}),
    "closes at DESCRIBE": (Camera(closes_at="DESCRIBE"), {Reason.STREAM_DAMAGED}),
    "closes at PLAY": (Camera(closes_at="PLAY"), {Reason.STREAM_DAMAGED}),
    "endless fields": (Camera(endless="fields"), {Reason.TIMED_OUT}),
    "endless body": (Camera(endless="body"), {Reason.TIMED_OUT}),
    "404": (Camera(answers={"DESCRIBE": 404}), {Reason.NOT_LIVE}),
    "403": (Camera(answers={"DESCRIBE": 403}), {Reason.CREDENTIALS}),
    "503": (Camera(answers={"DESCRIBE": 503}), {Reason.NOT_LIVE}),
    "password": (Camera(password="hunter2"), {Reason.CREDENTIALS}),
    "no video": (
        Camera(media="m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=0\r\n"),
        {Reason.UNSUPPORTED_STREAM},
    ),
    "another codec": (
        Camera(media="m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=control:trackID=0\r\n"),
        {Reason.UNSUPPORTED_STREAM},
    ),
    "an unknown codec": (
        Camera(media="m=video 0 RTP/AVP 96\r\na=rtpmap:96 NOSUCH/90000\r\na=control:trackID=0\r\n"),
        {Reason.UNSUPPORTED_STREAM},
    ),
    "disk": (
        Camera(redirect="file:///etc/passwd"),
        {Reason.STREAM_DAMAGED},
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_stream_that_cannot_be_opened_gives_its_reason(hasty: Any, name: str) -> None:
    camera, reasons = REFUSALS[name]
    async with serving(replace(camera)) as url:
        failed = await hasty.take_once(url)
        assert isinstance(failed, Failed)
        assert failed.reason in reasons
        assert failed.details.endswith(".")
        assert "127.0.0.1" not in failed.details + failed.suggestion
        ended = await hasty.open(1, url)
        if isinstance(ended, ReaderOpen):
            ended = await hasty.ended(1)
        assert ended.reason in reasons


@pytest.mark.parametrize("password", ["hunter2", "p@ss:/?#[]% w\u00f6rd\"'&"])
async def test_credentials_of_any_characters_open_a_stream(worker: Any, video: Video, password: str) -> None:
    async with serving(Camera(video=video, password=password, scheme="basic")) as url:
        assert isinstance(await worker.take_once(url, user=USER, password=password), Taken)
        for wrong in ("", "hunter3", None):
            failed = await worker.take_once(url, user=USER, password=wrong)
            assert isinstance(failed, Failed)
            assert failed.reason is Reason.CREDENTIALS
            assert password not in failed.details + failed.suggestion


#: What a camera does after some pictures, and the reasons for its reader's end.
ENDS = {
    Then.STALL: {Reason.TIMED_OUT},
    Then.CLOSE: {Reason.STREAM_ENDED},
    Then.TEAR: {Reason.STREAM_ENDED, Reason.STREAM_DAMAGED},
    Then.GARBAGE: {Reason.STREAM_ENDED, Reason.STREAM_DAMAGED, Reason.TIMED_OUT},
}


@pytest.mark.parametrize("then", ENDS)
async def test_a_stream_that_fails_amid_a_group_ends_its_reader_and_its_requests(
    hasty: Any, video: Video, then: Then
) -> None:
    async with serving(Camera(video=video, pictures=SOME, then=then)) as url:
        assert isinstance(await hasty.open(1, url), ReaderOpen)
        assert isinstance(await hasty.take(1), Taken)
        waiting = await hasty.ask(1, max_age_s=-1000.0)
        failed = await hasty.answer(waiting)
        assert isinstance(failed, Failed)
        assert failed.reason in ENDS[then]
        assert (await hasty.ended(1)).reason is failed.reason
        assert (await hasty.take(1)).reason in {failed.reason, Reason.NO_READER}
        once = await hasty.take_once(url, max_age_s=-1000.0)
        assert isinstance(once, Failed)
        assert once.reason in ENDS[then]


async def test_noise_in_packets_is_never_shown(hasty: Any, video: Video) -> None:
    async with serving(Camera(video=video, pictures=0, then=Then.NOISE)) as url:
        failed = await hasty.take_once(url, limit_s=2.0)
        assert isinstance(failed, Failed)
        assert failed.reason in {Reason.TIMED_OUT, Reason.STREAM_DAMAGED}


async def test_a_change_of_the_resolution_is_followed(worker: Any, video: Video, other: Video) -> None:
    async with serving(Camera(video=video, pictures=SOME, other=other)) as url:
        assert isinstance(await worker.open(1, url), ReaderOpen)
        assert (await worker.take(1)).width == 128

        async def larger() -> Taken | None:
            taken = await worker.take(1, max_age_s=0.0)
            assert isinstance(taken, Taken)
            return taken if (taken.width, taken.height) == (192, 144) else None

        await eventually(larger, timeout_s=30)


async def test_a_cancelled_request_gets_no_picture_and_leaves_no_connection(
    worker: Any, video: Video
) -> None:
    camera = Camera(video=video)
    async with serving(camera) as url:
        number = await worker.ask_once(url, max_age_s=-1000.0)

        async def is_playing() -> bool:
            return "PLAY" in camera.asked

        async def is_closed() -> bool:
            return camera.open == 0

        await eventually(is_playing, timeout_s=30)
        await worker.cancel(number)
        await eventually(is_closed, timeout_s=30)
        await worker.ping()
        assert not [each for each in worker.received if isinstance(each, Taken | Failed)]


async def test_a_closed_reader_says_nothing_and_leaves_no_connection(worker: Any, video: Video) -> None:
    camera = Camera(video=video)
    async with serving(camera) as url:
        assert isinstance(await worker.open(1, url), ReaderOpen)
        await worker.close(1)

        async def is_closed() -> bool:
            return camera.open == 0

        await eventually(is_closed, timeout_s=30)
        assert (await worker.take(1)).reason is Reason.NO_READER
        assert not [each for each in worker.received if isinstance(each, ReaderEnded)]


@pytest.mark.timeout(240)
async def test_many_failures_leave_no_descriptor_and_no_thread(
    start_worker: Callable[..., AbstractAsyncContextManager[Any]], video: Video
) -> None:
    cameras = [
        Camera(answers={"DESCRIBE": 404}),
        Camera(password="hunter2"),
        Camera(closes_at="PLAY"),
        Camera(video=video, pictures=2, then=Then.CLOSE),
        Camera(video=video, pictures=2, then=Then.TEAR),
        Camera(video=video, pictures=2, then=Then.STALL),
    ]
    async with start_worker(connect_timeout_s=1.0, silence_timeout_s=0.3) as worker:

        async def cycle(number: int) -> None:
            for camera in cameras:
                async with serving(replace(camera)) as url:
                    await worker.take_once(url, max_age_s=-1000.0)
                    await worker.send(OpenReader(number, url))
                    await worker.ended(number)

        for number in range(3):
            await cycle(number)
        descriptors, threads = worker.descriptors, worker.threads
        for number in range(15):
            await cycle(number)

        async def is_as_before() -> bool:
            return bool(worker.descriptors <= descriptors and worker.threads <= threads + 3)

        await eventually(is_as_before, timeout_s=20)
