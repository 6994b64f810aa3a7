"""Paths made so on a real media server, under concurrency, cancellation and failures."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest

from agent_core.base import processes
from agent_core.base.clock import SystemClock
from agent_core.base.errors import (
    InvalidParams,
    InvalidState,
    MediaServerError,
    MediaServerRefused,
    MediaServerUnavailable,
)
from agent_core.media.fmp4 import segment_duration_s
from agent_core.mediamtx.client import MediaServerClient, open_transport
from agent_core.mediamtx.paths import PathManager
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.testing.mediamtx import MediaServerUnderTest, publisher_command
from agent_core.testing.waiting import eventually

ON_DEMAND = PathConf(run_on_demand="sleep 60", run_on_demand_close_after_s=10, record=False)


class _Watched(httpx.AsyncBaseTransport):
    """Counts requests on their way, and lets a test stand in the way."""

    def __init__(self, api_url: str) -> None:
        self._inner = open_transport(api_url)
        self.requests: list[tuple[str, str]] = []
        self.gate: anyio.Event | None = None
        self.at_gate = anyio.Event()

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] != "GET"]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        response = await self._inner.handle_async_request(request)
        if self.gate is not None and request.method != "GET":
            gate, self.gate = self.gate, None
            self.at_gate.set()
            await gate.wait()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture
def watched(media_server: MediaServerUnderTest) -> _Watched:
    return _Watched(media_server.api_url)


@pytest.fixture
async def client(media_server: MediaServerUnderTest, watched: _Watched) -> AsyncIterator[MediaServerClient]:
    async with MediaServerClient(media_server.api_url, transport=watched) as client:
        yield client


@pytest.fixture
def paths(client: MediaServerClient) -> PathManager:
    return PathManager(client)


async def _conf(client: MediaServerClient, name: str = "camera0") -> PathConf:
    conf = await client.path_config(name)
    assert conf is not None
    return conf


# Making paths so


async def test_a_missing_path_is_made_and_there_when_ensure_returns(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    assert ON_DEMAND.missing_from(await _conf(client)) == PathConf()
    assert await client.path("camera0") is not None
    assert watched.writes == [("POST", "/v3/config/paths/add/camera0")]


async def test_a_path_that_is_so_is_left_alone_in_whatever_units(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    conf = ON_DEMAND.model_copy(
        update={
            "record_segment_duration_s": 3600.0,
            "record_delete_after_s": 0.0,
            "record_part_duration_s": 0.25,
        }
    )
    await paths.ensure("camera0", conf)
    watched.requests.clear()
    await paths.ensure("camera0", conf)
    assert watched.requests == [("GET", "/v3/config/paths/get/camera0")]
    assert (paths.total.writes, paths.total.repairs) == (1, 0)


async def test_a_hot_difference_is_patched_alone(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    await paths.ensure("camera0", ON_DEMAND.model_copy(update={"record_part_duration_s": 0.25}))
    assert watched.writes[1:] == [("PATCH", "/v3/config/paths/patch/camera0")]
    assert (await _conf(client)).record_part_duration_s == 0.25
    assert paths.total.repairs == 1


async def test_a_path_that_was_lost_is_made_again_and_counted(
    paths: PathManager, client: MediaServerClient
) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    await client.delete_path("camera0")
    await _until_gone(client)
    await paths.ensure("camera0", ON_DEMAND)
    assert paths.total.repairs == 1
    await paths.remove("camera0")
    await paths.ensure("camera0", ON_DEMAND)
    assert paths.total.repairs == 1


async def _until_gone(client: MediaServerClient) -> None:
    async def gone() -> bool:
        return await client.path_config("camera0") is None and await client.path("camera0") is None

    await eventually(gone)


async def test_a_cold_difference_replaces_an_idle_path_but_not_what_it_records(
    paths: PathManager, client: MediaServerClient, watched: _Watched, media_server: MediaServerUnderTest
) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    await paths.patch_record("camera0", PathConf(record=True, record_path=media_server.record_path))
    wanted = PathConf(run_on_demand="sleep 61", max_readers=3)
    await paths.ensure("camera0", wanted)
    assert watched.writes[-1] == ("POST", "/v3/config/paths/replace/camera0")
    conf = await _conf(client)
    assert wanted.missing_from(conf) == PathConf()
    assert conf.run_on_demand_close_after_s == 10
    assert (conf.record, conf.record_path) == (True, media_server.record_path)


async def test_a_difference_that_has_to_wait_is_logged_once(
    paths: PathManager, media_server: MediaServerUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    """It is compared every two seconds for as long as the path is live."""
    caplog.set_level("INFO", "camera_agent.paths")
    conf = PathConf(run_on_demand=publisher_command(), run_on_demand_close_after_s=10)
    await paths.ensure("camera0", conf)
    async with anyio.create_task_group() as tasks:
        await tasks.start(Hold(f"{media_server.rtsp_url}/camera0").run)
        for keys, count in (({"max_readers": 3}, 1), ({"max_readers": 3, "run_on_init_restart": True}, 2)):
            for _ in range(3):
                with pytest.raises(InvalidState):
                    await paths.ensure("camera0", conf.model_copy(update=keys))
            assert len([each for each in caplog.records if "differs" in each.message]) == count
        tasks.cancel_scope.cancel()


async def test_a_cold_difference_of_a_path_in_use_is_refused_and_nothing_changes(
    paths: PathManager, client: MediaServerClient, watched: _Watched, media_server: MediaServerUnderTest
) -> None:
    conf = PathConf(run_on_demand=publisher_command(), run_on_demand_close_after_s=10)
    await paths.ensure("camera0", conf)
    async with anyio.create_task_group() as tasks:
        await tasks.start(Hold(f"{media_server.rtsp_url}/camera0").run)
        watched.requests.clear()
        with pytest.raises(InvalidState) as caught:
            await paths.ensure("camera0", conf.model_copy(update={"run_on_demand_close_after_s": 5.0}))
        assert caught.value.reason == "path_in_use"
        assert "runOnDemandCloseAfter" in caught.value.details
        assert watched.writes == []
        path = await client.path("camera0")
        assert path is not None
        assert path.live
        tasks.cancel_scope.cancel()


async def test_what_the_server_does_not_accept_is_refused_at_once(
    paths: PathManager, watched: _Watched
) -> None:
    with pytest.raises(MediaServerRefused) as caught:
        await paths.ensure("camera0", PathConf(record_format="mkv"))
    assert caught.value.server_text == "invalid record format 'mkv'"
    assert len(watched.writes) == 1
    assert paths.total.retries == 0


async def test_remove_is_idempotent(paths: PathManager, client: MediaServerClient) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    await paths.remove("camera0")
    assert await client.path_config("camera0") is None
    await paths.remove("camera0")


async def test_other_peoples_paths_stay_as_they_are(paths: PathManager, client: MediaServerClient) -> None:
    await client.add_path("all_others", PathConf())
    await client.add_path("~^cam", PathConf())
    await paths.ensure("camera0", ON_DEMAND)
    await paths.remove("camera0")
    assert {conf.name for conf in await client.list_path_configs()} == {"all_others", "~^cam"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "all_others",
        "all",
        "~^.*$",
        "~camera0",
        "a b",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "ä",
        "a?b",
    ],
)
async def test_names_that_are_not_a_path_of_our_own_are_refused(
    paths: PathManager, watched: _Watched, name: str
) -> None:
    for call in (
        paths.ensure(name, PathConf()),
        paths.patch_record(name, PathConf(record=True)),
        paths.remove(name),
    ):
        with pytest.raises(InvalidParams) as caught:
            await call
        assert caught.value.param == "path"
    assert watched.requests == []


# Recording


async def test_patch_record_is_one_patch(
    paths: PathManager, client: MediaServerClient, watched: _Watched, media_server: MediaServerUnderTest
) -> None:
    await paths.ensure("camera0", ON_DEMAND)
    await client.features()
    watched.requests.clear()
    await paths.patch_record("camera0", PathConf(record=True, record_path=media_server.record_path))
    assert watched.writes == [("PATCH", "/v3/config/paths/patch/camera0")]
    assert watched.requests[0][0] == "PATCH"
    conf = await _conf(client)
    assert (conf.record, conf.record_path) == (True, media_server.record_path)


async def test_patch_record_of_a_missing_path_says_so(paths: PathManager) -> None:
    with pytest.raises(MediaServerRefused) as caught:
        await paths.patch_record("camera0", PathConf(record=True))
    assert caught.value.status == 404


async def test_patch_record_takes_nothing_else(paths: PathManager, watched: _Watched) -> None:
    with pytest.raises(ValueError, match="maxReaders"):
        await paths.patch_record("camera0", PathConf(record=True, max_readers=1))
    assert watched.requests == []


async def test_recording_into_one_folder_after_another_does_not_disturb_a_reader(
    paths: PathManager, client: MediaServerClient, media_server: MediaServerUnderTest
) -> None:
    fps, folders = 30, ("one", "two")
    conf = PathConf(run_on_demand=publisher_command(fps), record=False, record_part_duration_s=0.25)
    await paths.ensure("camera0", conf)
    argv = [
        ffmpeg.locate(),
        *ffmpeg.QUIET,
        "-rtsp_transport",
        "tcp",
        "-i",
        f"{media_server.rtsp_url}/camera0",
    ]
    packets = bytearray()
    async with (
        processes.child([*argv, "-c", "copy", "-flush_packets", "1", "-f", "framecrc", "pipe:1"]) as reader,
        anyio.create_task_group() as tasks,
    ):
        assert reader.stdout is not None

        async def collect() -> None:
            assert reader.stdout is not None
            async for chunk in reader.stdout:
                packets.extend(chunk)

        tasks.start_soon(collect)

        async def being_read() -> bool:
            return len(_stamps(packets)) >= 5

        await eventually(being_read, timeout_s=30)
        before, first = await client.path("camera0"), len(_stamps(packets))
        for folder in folders:
            path = f"{media_server.folder}/%path/{folder}/%Y-%m-%d_%H-%M-%S-%f"
            await paths.patch_record("camera0", PathConf(record=True, record_path=path))
            await eventually(lambda folder=folder: _recorded(media_server, folder, 0.5), timeout_s=20)  # type: ignore[misc]
            await paths.patch_record("camera0", PathConf(record=False))
        after = await client.path("camera0")
        tasks.cancel_scope.cancel()
    assert before is not None
    assert after is not None
    assert (before.source, before.readers, before.live_since) == (
        after.source,
        after.readers,
        after.live_since,
    )
    stamps = _stamps(packets)[first - 1 :]  # FFmpeg's first ones are guesses
    gaps = {later - earlier for earlier, later in pairwise(stamps)}
    assert len(stamps) > fps
    assert gaps == {90_000 // fps}  # not one frame is missing


def _stamps(framecrc: bytearray) -> list[int]:
    """The presentation times in complete lines of FFmpeg's framecrc: `stream, dts, pts, duration, size, crc`."""
    lines = framecrc.decode().splitlines(keepends=True)
    return [int(line.split(",")[2]) for line in lines if not line.startswith("#") and line.endswith("\n")]


async def _recorded(server: MediaServerUnderTest, folder: str, at_least_s: float) -> bool:
    def measure() -> float:
        return sum(map(segment_duration_s, (server.folder / "camera0" / folder).glob("*.mp4")))

    return await anyio.to_thread.run_sync(measure) > at_least_s


# Together, cancelled, failing


async def test_fifty_one_callers_and_the_first_cancelled_write_at_most_twice(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    """The first is cancelled when the server has done what it asked, but has not told it."""
    watched.gate = anyio.Event()
    leader = anyio.CancelScope()
    finished: list[int] = []

    async def call(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await paths.ensure("camera0", ON_DEMAND)
            finished.append(number)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, 0, leader)
            await watched.at_gate.wait()
            for number in range(1, 51):
                tasks.start_soon(call, number, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
    assert sorted(finished) == list(range(1, 51))
    assert 1 <= len(watched.writes) <= 2
    assert len(paths._locks) == 0  # there is no public way to see that nothing is left
    assert ON_DEMAND.missing_from(await _conf(client)) == PathConf()


async def test_fifty_callers_of_one_path_are_one_write(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(paths.ensure, "camera0", ON_DEMAND)
    assert watched.writes == [("POST", "/v3/config/paths/add/camera0")]


async def test_a_leader_cancelled_before_the_server_heard_of_it_leaves_the_work_to_the_next(
    media_server: MediaServerUnderTest,
) -> None:
    gate, at_gate = anyio.Event(), anyio.Event()

    class Deaf(_Watched):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method != "GET" and not at_gate.is_set():
                at_gate.set()
                await gate.wait()
            return await super().handle_async_request(request)

    transport = Deaf(media_server.api_url)
    leader = anyio.CancelScope()
    async with MediaServerClient(media_server.api_url, transport=transport) as client:
        paths = PathManager(client)

        async def lead() -> None:
            with leader:
                await paths.ensure("camera0", ON_DEMAND)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lead)
                await at_gate.wait()
                tasks.start_soon(paths.ensure, "camera0", ON_DEMAND)
                await anyio.wait_all_tasks_blocked()
                leader.cancel()
        assert transport.writes == [("POST", "/v3/config/paths/add/camera0")]
        assert len(paths._locks) == 0


async def test_callers_of_different_paths_do_not_wait_for_each_other(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    watched.gate = anyio.Event()
    gate = watched.gate
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(paths.ensure, "camera0", ON_DEMAND)
            await watched.at_gate.wait()
            await paths.ensure("camera1", ON_DEMAND)
            gate.set()
    assert {conf.name for conf in await client.list_path_configs()} == {"camera0", "camera1"}


async def test_forty_paths_at_once_are_forty_writes(
    paths: PathManager, client: MediaServerClient, watched: _Watched
) -> None:
    names = {f"camera{number}" for number in range(40)}
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(paths.ensure, name, ON_DEMAND)
    assert {conf.name for conf in await client.list_path_configs()} == names
    # A loaded machine's server can take longer than a call may; only then a write is repeated.
    assert 40 <= len(watched.writes) <= 40 + paths.total.retries


class _Impatient(SystemClock):
    """Time passes only by sleeping, and sleeping takes none."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def monotonic_s(self) -> float:
        return sum(self.slept_s)

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def _scripted(
    handler: Callable[[httpx.Request], httpx.Response],
) -> AsyncIterator[tuple[PathManager, _Impatient]]:
    clock = _Impatient()
    async with MediaServerClient("http://media.example", transport=httpx.MockTransport(handler)) as client:
        yield PathManager(client, clock=clock), clock


async def test_a_server_that_comes_back_is_worth_the_wait() -> None:
    statuses = iter([503, 502])

    def handler(request: httpx.Request) -> httpx.Response:
        status = next(statuses, 200)
        return httpx.Response(status, json={"maxReaders": 1, "name": "camera0"})

    async with _scripted(handler) as (paths, clock):
        await paths.ensure("camera0", PathConf(max_readers=1))
    assert clock.slept_s == [0.1, 0.3]
    assert paths.total.retries == 2


async def test_a_server_that_stays_away_is_given_up() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    async with _scripted(handler) as (paths, clock):
        with pytest.raises(MediaServerUnavailable) as caught:
            await paths.ensure("camera0", PathConf())
    assert caught.value.reason == "connection_refused"
    assert clock.slept_s == [0.1, 0.3, 0.9]


async def test_a_write_that_never_shows_is_an_error_not_a_success() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.method == "GET" else 200, json={})

    async with _scripted(handler) as (paths, clock):
        with pytest.raises(MediaServerError) as caught:
            await paths.ensure("camera0", PathConf())
    assert caught.value.reason == "not_applied"
    assert sum(clock.slept_s) >= 3


async def test_a_path_that_exists_already_but_shows_late_is_found() -> None:
    """What a cancelled predecessor leaves behind on a server that applies slowly."""
    gets = iter([404, 404, 404])

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(400, json={"error": "path already exists"})
        return httpx.Response(next(gets, 200), json={"name": "camera0", "maxReaders": 1})

    async with _scripted(handler) as (paths, _):
        await paths.ensure("camera0", PathConf(max_readers=1))
    assert paths.total.writes == 1


def _old_server(*, live: bool) -> Callable[[httpx.Request], httpx.Response]:
    """As v1.15.0 answers; `recordPath` is what was patched last."""
    conf: dict[str, object] = {"name": "camera0", "record": False, "recordPath": "old"}

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            conf.update(httpx.Response(200, content=request.content).json())
        if request.url.path == "/v3/info" or request.url.path.startswith("/v3/config/pathdefaults"):
            return httpx.Response(404, text="404 page not found")
        if request.url.path.startswith("/v3/paths/"):
            return httpx.Response(200, json={"name": "camera0", "ready": live})
        return httpx.Response(200, json=conf if request.method == "GET" else None)

    return handler


async def test_an_old_server_may_only_change_record_under_a_live_stream() -> None:
    async with _scripted(_old_server(live=True)) as (paths, _):
        await paths.patch_record("camera0", PathConf(record=True))
        await paths.patch_record("camera0", PathConf(record=True, record_path="old"))
        with pytest.raises(InvalidState) as caught:
            await paths.patch_record("camera0", PathConf(record=True, record_path="new"))
        assert caught.value.reason == "path_in_use"
        assert re.search(r"\brecordPath\b", caught.value.details)
    async with _scripted(_old_server(live=False)) as (paths, _):
        await paths.patch_record("camera0", PathConf(record=True, record_path="new"))
