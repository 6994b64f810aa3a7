"""Resident readers in this process: how much they decode, keep and need."""

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import pytest

from agent_core.testing.waiting import eventually
from rtsp_tier.messages import (
    TO_PLUGIN,
    CloseReader,
    Configure,
    Decoder,
    Message,
    OpenReader,
    Ping,
    Taken,
    TakeOnce,
    encode,
)
from rtsp_tier.worker.address import Address
from rtsp_tier.worker.captured import Captured
from rtsp_tier.worker.outbox import Outbox
from rtsp_tier.worker.pictures import Still
from rtsp_tier.worker.program import Program, WorkerStuck
from rtsp_tier.worker.requests import Request, Requests
from rtsp_tier.worker.resident import ResidentReader
from rtsp_tier.worker.threads import Threads
from tests.odd.camera import Camera
from tests.odd.video import Video
from tests.odd.video import encode as encode_video

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")
SETTINGS = Configure(0.2, 10.0, 10.0, 8 << 20, 90)
GROUP = 8


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode_video(tmp_path_factory.mktemp("video"), "H264", *X264, group=GROUP)


@dataclass
class Inbox:
    """Plugin's end of a pipe."""

    descriptor: int
    received: list[Message] = field(default_factory=list)
    decoder: Decoder = field(default_factory=lambda: Decoder(TO_PLUGIN))

    async def taken(self, request: int) -> Taken:
        async def ask() -> Taken | None:
            found = [each for each in self.received if isinstance(each, Taken) and each.request == request]
            if not found:
                data = await anyio.to_thread.run_sync(os.read, self.descriptor, 1 << 20)
                self.received += self.decoder.feed(data)
            return found[0] if found else None

        return await eventually(ask, timeout_s=40)


@dataclass
class Rig:
    """A reader of a camera, and what it received."""

    reader: ResidentReader
    requests: Requests
    inbox: Inbox
    number: int = 0

    async def take(self, **options: Any) -> Taken:
        self.number += 1
        now_s = time.monotonic()
        request = Request(self.number, options.pop("not_before_s", now_s - 60), now_s + 60, **options)
        self.requests.add(request)
        self.reader.take(request)
        return await self.inbox.taken(self.number)

    @property
    def newest(self) -> int:
        """Number of the newest picture that has come."""
        newest = self.reader._live.newest
        return -1 if newest is None else newest.number

    async def until_came(self, number: int) -> None:
        async def has_come() -> bool:
            return self.newest >= number

        await eventually(has_come, timeout_s=40)


@asynccontextmanager
async def rig(
    camera: Camera, *, make_requests: Callable[[Outbox], Requests] = Requests, **settings: Any
) -> AsyncIterator[Rig]:
    reading, writing = os.pipe()
    outbox, threads = Outbox(writing), Threads()
    requests = make_requests(outbox)
    async with camera.serving() as port:
        address = Address(f"rtsp://127.0.0.1:{port}/cam")
        reader = ResidentReader(1, address, replace(SETTINGS, **settings), outbox, requests)
        reader.start(threads.run)
        try:
            yield Rig(reader, requests, Inbox(reading))
        finally:
            reader.close()

            async def has_ended() -> bool:
                return reader.has_ended and camera.open == 0

            await eventually(has_ended, timeout_s=40)
            threads.close()
            os.close(reading)
            os.close(writing)


async def test_an_idle_reader_decodes_nothing(video: Video) -> None:
    async with rig(Camera(video=video)) as bench:
        await bench.until_came(3 * GROUP)
        assert bench.reader.decoded_pictures == 0


async def test_one_request_decodes_one_group_at_most_and_a_key_frame_alone_if_that_is_enough(
    video: Video,
) -> None:
    async with rig(Camera(video=video)) as bench:
        await bench.until_came(GROUP + 3)
        await bench.take(key_frame_is_enough=True)
        assert bench.reader.decoded_pictures == 1
        came = bench.newest
        await bench.until_came(came + 2 * GROUP)
        assert bench.reader.decoded_pictures == 1  # the first request is followed by nothing


async def test_between_requests_each_picture_is_decoded_once(video: Video) -> None:
    async with rig(Camera(video=video)) as bench:
        await bench.until_came(GROUP)
        await bench.take(key_frame_is_enough=False)
        start = bench.newest
        for _ in range(10):
            await bench.take(key_frame_is_enough=False, not_before_s=time.monotonic())
        pictures = bench.newest - start
        assert bench.reader.decoded_pictures <= pictures + 3 * GROUP


async def test_a_request_gets_a_picture_at_least_as_new_as_it_asks(video: Video) -> None:
    async with rig(Camera(video=video)) as bench:
        last_s = 0.0
        for _ in range(5):
            now_s = time.monotonic()
            taken = await bench.take(not_before_s=now_s, key_frame_is_enough=True)
            assert taken.captured_s >= now_s
            assert taken.captured_s > last_s
            last_s = taken.captured_s


async def test_a_group_beyond_the_limit_costs_no_memory_and_still_gives_pictures(video: Video) -> None:
    async with rig(Camera(video=video), group_limit_bytes=2000) as bench:
        await bench.until_came(2 * GROUP)
        taken = await bench.take(key_frame_is_enough=True)
        now_s = time.monotonic()
        newer = await bench.take(not_before_s=now_s, key_frame_is_enough=False)
        assert taken.captured_s < now_s <= newer.captured_s


class StuckRequests(Requests):
    """Register in which the thread that decodes hangs, as it could in the library, until `is_over` is set."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(outbox)
        self.hung_s: float | None = None
        self.is_over = Event()

    def answer(self, request: Request, picture: Still, captured: Captured) -> None:
        self.hung_s = self.hung_s or time.monotonic()
        self.is_over.wait(60)
        super().answer(request, picture, captured)


async def test_a_thread_that_hangs_while_it_decodes_is_noticed_while_the_stream_goes_on_and_after_its_end(
    video: Video,
) -> None:
    camera = Camera(video=video)
    async with rig(camera, make_requests=StuckRequests) as bench:
        requests, reader = bench.requests, bench.reader
        assert isinstance(requests, StuckRequests)
        try:
            request = Request(1, 0.0, time.monotonic() + 60)
            requests.add(request)
            reader.take(request)
            await until(lambda: requests.hung_s is not None)
            await bench.until_came(bench.newest + GROUP)
            now_s, hung_s = time.monotonic(), requests.hung_s or 0.0
            assert reader.silent_s(now_s) >= now_s - hung_s
            reader.close()
            await until(lambda: camera.open == 0)
            now_s = time.monotonic()
            assert reader.is_in_library
            assert reader.silent_s(now_s) >= now_s - hung_s
        finally:
            requests.is_over.set()
        await until(lambda: not reader.is_in_library)
        assert reader.silent_s(time.monotonic() + 1000) == 0


async def until(is_true: Callable[[], bool]) -> None:
    async def ask() -> bool:
        return is_true()

    await eventually(ask, timeout_s=40)


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    ends = (*os.pipe(), *os.pipe())
    yield ends
    for each in ends:
        os.close(each)


@pytest.mark.parametrize("kind", ["resident", "closed", "once"])
async def test_a_thread_that_is_stuck_ends_the_worker_at_the_next_ping(
    pipes: tuple[int, int, int, int], kind: str
) -> None:
    """With a grace below 0 every thread that waits for a stream counts as stuck."""
    source, given, _, sink = pipes
    camera = Camera(silent_at="accept")
    async with camera.serving() as port:
        url, now_s = f"rtsp://127.0.0.1:{port}/cam", time.monotonic()
        settings = replace(SETTINGS, connect_timeout_s=0.5, silence_timeout_s=0.5)
        once = TakeOnce(1, url, None, None, now_s, now_s + 60)
        opening: Message = once if kind == "once" else OpenReader(1, url)
        closing: list[Message] = [CloseReader(1)] if kind == "closed" else []
        for message in (settings, opening, *closing, Ping(1)):
            os.write(given, encode(message))
        program = Program(source, sink, grace_s=-1000.0)
        with pytest.raises(WorkerStuck):
            await anyio.to_thread.run_sync(program.run)

        # It may connect, and write to its pipe, only now.
        await until(lambda: not any(each.name.startswith("reader_") for each in threading.enumerate()))
        await until(lambda: camera.open == 0)


@pytest.mark.timeout(480)
@pytest.mark.parametrize("kind", ["resident", "once"])
async def test_memory_after_a_hundred_pictures_is_that_after_twenty(
    worker: Any, video: Video, kind: str
) -> None:
    """The pictures are small, so that a hundred take seconds; what a picture leaks would show all the more.

    A leak shows in each round; what an allocator keeps of a busy machine's coincidences shows in the first ones only.
    """
    async with Camera(video=video).serving() as port:
        url = f"rtsp://127.0.0.1:{port}/cam"
        await worker.open(1, url)

        async def rss_bytes_after(pictures: int) -> int:
            for _ in range(pictures):
                taken = await (worker.take_once(url) if kind == "once" else worker.take(1))
                assert isinstance(taken, Taken)
            return int((await worker.ping()).rss_bytes)

        start_bytes = await rss_bytes_after(20)
        for _ in range(3):
            end_bytes = await rss_bytes_after(80)
            if end_bytes <= 1.05 * start_bytes:
                return
            start_bytes = end_bytes
        pytest.fail(f"{end_bytes} bytes are resident, and more with every 80 pictures")
