"""Tiers 2 and 3 at streams that deviate, fail, hang or lie: a picture or a reason, no hang, and nothing left behind."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.base.models import CameraId
from agent_core.plugin import AgentError, CaptureRequest, jpeg
from agent_core.plugin.rtsp import Credentials
from agent_core.testing import as_camera
from agent_core.testing.waiting import eventually
from tests.odd.camera import AUDIO, USER, Camera, Then
from tests.odd.video import Video, encode

from .conftest import descendants, is_running
from .network_cameras import network_camera
from .odd_streams import PATIENT, Oddity, Photographer, photographer

#: For streams whose end is only a time-out.
HASTY: dict[str, Any] = {"connect_timeout_s": 0.5, "silence_timeout_s": 0.5, "latency_s": 0.05}
HASTY_DEADLINE_S = 3.0
LIMIT_S = 45.0
#: Streams read at a time: as many as cameras may be photographed at once on a small device.
AT_ONCE = 4
#: Growth of the worker's memory for pools and caches, at any number of attempts.
GROWTH_BYTES = 40 << 20
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0")


@dataclass
class Videos:
    """Encoded once for all tests of this file."""

    short: Video
    long: Video
    large: Video
    h265: Video


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    folder = tmp_path_factory.mktemp("videos")
    h265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=0")
    return Videos(
        encode(folder, "H264", *_X264),
        encode(folder, "H264", *_X264, group=120, pictures=120),
        encode(folder, "H264", *_X264, size="320x240"),
        encode(folder, "H265", *h265),
    )


def good(videos: Videos) -> list[Oddity]:
    """Streams that deviate and give a picture."""
    video, known = videos.short, Credentials(USER, "s3cr€t:/@ %")
    plain = Camera(video=video, timeout_s=60)
    return [
        Oddity("plain", plain),
        Oddity("without sets", replace(plain, media=video.media)),
        Oddity("long group", Camera(video=videos.long, media=videos.long.media)),
        Oddity("h265", Camera(video=videos.h265, media=videos.h265.media)),
        Oddity("other size", replace(plain, pictures=3, other=videos.large)),
        Oddity("with audio", replace(plain, media=video.media_with_sets + AUDIO.replace("ID=0", "ID=1"))),
        Oddity("channels", replace(plain, channel=10)),
        Oddity("digest", replace(plain, one_nonce=True, password=known.password), credentials=known),
        Oddity(
            "basic",
            replace(plain, one_nonce=True, password=known.password, scheme="basic"),
            credentials=known,
        ),
        Oddity("base", replace(plain, fields={"DESCRIBE": {"Content-Base": "/base/"}})),
        Oddity("short session", replace(plain, timeout_s=1)),
        Oddity("not asked for", plain, credentials=known),
    ]


def refusing(videos: Videos) -> list[Oddity]:
    """Streams that end an attempt by themselves."""
    video, wrong = videos.short, Credentials(USER, "wrong")
    plain = Camera(video=video, timeout_s=60)
    closed = frozenset(
        {"media_server_down", "not_live", "stream_ended", "stream_damaged", "unsupported_stream"}
    )
    credentials = frozenset({"credentials"})
    refused = frozenset({"not_live", "media_server_down", "unsupported_stream"})
    return [
        *(
            Oddity(f"closes at {at}", replace(plain, closes_at=at), closed)
            for at in ("accept", "OPTIONS", "DESCRIBE", "SETUP", "PLAY")
        ),
        Oddity("closes amid a group", replace(plain, pictures=3, then=Then.CLOSE), closed),
        Oddity("closes at once", replace(plain, pictures=0, then=Then.CLOSE), closed),
        Oddity("closes amid a packet", replace(plain, pictures=3, then=Then.TEAR), closed),
        Oddity("refuses DESCRIBE", replace(plain, answers={"DESCRIBE": 404}), frozenset({"not_live"})),
        Oddity("refuses SETUP", replace(plain, answers={"SETUP": 461}), refused),
        Oddity("refuses PLAY", replace(plain, answers={"PLAY": 454}), refused),
        Oddity("fails", replace(plain, answers={"DESCRIBE": 500}), refused),
        Oddity("asks for a password", replace(plain, one_nonce=True, password="right"), credentials),
        Oddity(
            "other password, digest", replace(plain, one_nonce=True, password="right"), credentials, wrong
        ),
        Oddity(
            "other password, basic",
            replace(plain, one_nonce=True, password="right", scheme="basic"),
            credentials,
            wrong,
        ),
        Oddity("forbids", replace(plain, answers={"DESCRIBE": 403}), credentials | refused),
        Oddity("audio only", Camera(media=AUDIO), frozenset({"unsupported_stream"})),
        Oddity("no media", Camera(media="a=nothing\r\n"), frozenset({"unsupported_stream", "not_live"})),
        Oddity(
            "unknown codec",
            Camera(media=video.media.replace("H264", "X-OWN")),
            frozenset({"unsupported_stream", "stream_damaged", "timed_out"}),
        ),
        Oddity(
            "redirects in a circle",
            replace(plain, redirect="rtsp://127.0.0.1:{port}/cam"),
            refused | {"stream_ended", "stream_damaged", "timed_out"},
        ),
        Oddity("nothing listens", plain, frozenset({"media_server_down"}), address="rtsp://127.0.0.1:1/cam"),
    ]


def silent(videos: Videos) -> list[Oddity]:
    """Streams that only a time-out ends."""
    plain = Camera(video=videos.short, timeout_s=60)
    reasons = frozenset({"timed_out", "stream_ended", "stream_damaged", "unsupported_stream", "not_live"})
    return [
        *(
            Oddity(f"silent at {at}", replace(plain, silent_at=at), frozenset({"timed_out"}))
            for at in ("accept", "OPTIONS", "DESCRIBE", "SETUP", "PLAY")
        ),
        Oddity("no packets", replace(plain, pictures=0, then=Then.STALL), frozenset({"timed_out"})),
        # Tier 3 connects again while the stream may be starting, and can then get one of the three pictures in time.
        Oddity("stalls amid a group", replace(plain, pictures=3, then=Then.STALL), reasons | {"picture"}),
        Oddity("noise", replace(plain, pictures=3, then=Then.NOISE), reasons | {"picture"}),
        Oddity("garbage", replace(plain, pictures=3, then=Then.GARBAGE), reasons | {"picture"}),
        Oddity("invalid packets", Camera(), reasons),
        Oddity("endless header", replace(plain, endless="fields"), reasons | {"media_server_down"}),
        Oddity("endless body", replace(plain, endless="body"), reasons | {"media_server_down"}),
    ]


async def outcomes(
    taken: Photographer, oddities: Iterable[Oddity], *, deadline_s: float, later_s: float = 0.0
) -> dict[tuple[str, int], str]:
    """Photograph each by both tiers, some at a time; return "picture" or the reason of each."""
    found: dict[tuple[str, int], str] = {}
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def one(oddity: Oddity, rank: int) -> None:
        async with limit:
            now_s = taken.agent.clock.monotonic_s()
            request = CaptureRequest(now_s + later_s, now_s + deadline_s)
            with anyio.fail_after(LIMIT_S):
                found[oddity.name, rank] = await outcome(taken, oddity, rank, request)

    async with anyio.create_task_group() as tg:
        for oddity in oddities:
            for rank in (2, 3):
                tg.start_soon(one, oddity, rank)
    return found


async def outcome(taken: Photographer, oddity: Oddity, rank: int, request: CaptureRequest) -> str:
    taken_or_not = await taken.photograph(oddity, rank, request)
    if isinstance(taken_or_not, AgentError):
        told = f"{taken_or_not.details} {taken_or_not.suggestion} {taken_or_not.data()}"
        assert taken_or_not.details
        assert taken_or_not.suggestion
        for secret in (oddity.camera.password, oddity.credentials and oddity.credentials.password):
            assert not secret or secret not in told
        return taken_or_not.reason
    info = jpeg.inspect(taken_or_not.data)
    assert (info.width, info.height) == (taken_or_not.width, taken_or_not.height)
    assert taken_or_not.captured_s >= request.not_before_s
    return "picture"


def as_expected(found: dict[tuple[str, int], str], oddities: Iterable[Oddity]) -> None:
    expected = {oddity.name: oddity.reasons or {"picture"} for oddity in oddities}
    wrong = {
        f"{name}, tier {rank}": str(reason)
        for (name, rank), reason in found.items()
        if reason not in expected[name]
    }
    assert not wrong, wrong
    assert len(found) == 2 * len(expected)


async def test_a_stream_that_deviates_gives_a_picture(tmp_path: Path, videos: Videos) -> None:
    async with photographer(tmp_path, **PATIENT) as taken:
        found = await outcomes(taken, good(videos), deadline_s=LIMIT_S - 10)
    as_expected(found, good(videos))


async def test_a_stream_that_refuses_or_ends_is_a_reason(tmp_path: Path, videos: Videos) -> None:
    async with photographer(tmp_path, **PATIENT) as taken:
        found = await outcomes(taken, refusing(videos), deadline_s=LIMIT_S - 10, later_s=1.0)
    as_expected(found, refusing(videos))


async def test_a_stream_that_falls_silent_is_a_reason_in_time(tmp_path: Path, videos: Videos) -> None:
    async with photographer(tmp_path, **HASTY) as taken:
        found = await outcomes(taken, silent(videos), deadline_s=HASTY_DEADLINE_S, later_s=0.5)
    as_expected(found, silent(videos))


@dataclass(frozen=True)
class Held:
    """What this process and the worker hold: descriptors, threads and processes."""

    descriptors: int
    threads: int
    worker_descriptors: int
    worker_threads: int

    @classmethod
    def now(cls, worker: int) -> "Held":
        own, other = Path("/proc/self"), Path(f"/proc/{worker}")
        return cls(
            len(list((own / "fd").iterdir())),
            len(list((own / "task").iterdir())),
            len(list((other / "fd").iterdir())),
            len(list((other / "task").iterdir())),
        )

    def within(self, other: "Held") -> bool:
        """Return whether nothing is more than in `other`, but for pools of threads that have grown to their size."""
        return (
            self.descriptors <= other.descriptors
            and self.threads <= other.threads + AT_ONCE
            and self.worker_descriptors <= other.worker_descriptors
            and self.worker_threads <= other.worker_threads + AT_ONCE
        )


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def workers() -> list[int]:
    """Return the ids of the worker processes below this one."""
    return [pid for pid in descendants(os.getpid()) if b"rtsp_tier.worker" in _argv(pid)]


def _argv(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", [1, pytest.param(6, marks=pytest.mark.release)])
async def test_nothing_is_left_of_odd_streams(tmp_path: Path, videos: Videos, rounds: int) -> None:
    odd = [*refusing(videos), *silent(videos)]
    async with photographer(tmp_path, **HASTY) as taken:
        await outcomes(taken, good(videos)[:2], deadline_s=LIMIT_S - 10)
        (worker,) = workers()
        await outcomes(taken, odd[::3], deadline_s=HASTY_DEADLINE_S, later_s=0.5)  # opens what it keeps open
        await all_closed(taken.cameras)
        before, rss_before = Held.now(worker), resident_bytes(worker)
        count = 0
        for _ in range(rounds):
            count += len(await outcomes(taken, odd, deadline_s=HASTY_DEADLINE_S, later_s=0.5))
        assert count >= (300 if rounds > 1 else 50)
        await all_closed(taken.cameras)
        assert workers() == [worker]  # none of them cost a worker
        assert resident_bytes(worker) - rss_before < GROWTH_BYTES
        await eventually(lambda: _is_within(worker, before), timeout_s=20)
    assert not is_running(worker)
    assert not taken.agent.streams.readers.total()


@pytest.mark.parametrize("resident_readers", [0, pytest.param(4, marks=pytest.mark.release)])
async def test_attempts_that_are_given_up_leave_nothing(
    tmp_path: Path, videos: Videos, resident_readers: int
) -> None:
    """A stream without a key frame would hold its readers for as long as they may wait, if nothing ended them."""
    camera = Camera(video=videos.short, timeout_s=60, pictures=0, then=Then.STALL)
    settings = {**PATIENT, "keep_warm_s": 0, "resident_readers": resident_readers, "resident_ttl_s": 0.5}
    settings |= {
        "connect_timeout_s": 5,
        "silence_timeout_s": 2,
    }  # the longest that a reader which nothing waits for stays open
    async with photographer(tmp_path, **settings) as taken, camera.serving() as port:
        await outcomes(taken, good(videos)[:2], deadline_s=LIMIT_S - 10)
        (worker,) = workers()
        stream = taken.agent.streams.serve(CameraId("camera0"), f"rtsp://127.0.0.1:{port}/cam")
        stream.watch(taken.agent.clock.monotonic_s())
        known = as_camera(network_camera("camera0", stream.url))
        taken.agent.cameras.known.append(known)
        await all_closed([*taken.cameras, camera])
        before = Held.now(worker)
        for number in range(12):
            now_s = taken.agent.clock.monotonic_s()
            request = CaptureRequest(now_s, now_s + LIMIT_S)
            async with anyio.create_task_group() as tg:
                tg.start_soon(taken.tiers[2 + number % 2].capture, known, request)
                await eventually(lambda: _is_read(camera), timeout_s=20)
                tg.cancel_scope.cancel()
        assert not stream.leases
        await all_closed([camera], within_s=40)
        if is_running(worker):  # idle for long enough it has ended
            assert Held.now(worker).descriptors <= before.descriptors


async def _is_read(camera: Camera) -> bool:
    return camera.open > 0


async def _is_within(worker: int, before: Held) -> bool:
    return Held.now(worker).within(before)


async def all_closed(cameras: list[Camera], *, within_s: float = 20) -> None:
    async def closed() -> bool:
        return not any(camera.open for camera in cameras)

    await eventually(closed, timeout_s=within_s)
