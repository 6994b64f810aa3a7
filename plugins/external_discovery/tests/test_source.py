"""Streams are added, looked at, judged anew, and removed; a script answers as the camera."""

import base64
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from pydantic import ValidationError

from agent_core.base.errors import AgentError, CaptureFailed, InvalidParams, InvalidState, NotFound
from agent_core.base.events import EventBus
from agent_core.base.models import Camera, CameraStatus, Url
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import CameraRegistry, SourceReport
from agent_core.plugin.rtsp import Headers, Request, Response
from agent_core.testing import FakeAgent
from agent_core.testing.clock import SimulatedClock
from external_discovery.camera import SOURCE, Prober
from external_discovery.configured import configured_streams
from external_discovery.methods import AddExternalStream, GetExternalStreams, RemoveExternalStream
from external_discovery.policy import AddressPolicy, AddressRefused, IpAddress
from external_discovery.settings import ConfiguredStream, ExternalDiscoverySettings
from external_discovery.source import ExternalSource
from external_discovery.streams import AddedStream, StreamFiles
from external_discovery.wire import AddParams, RemoveParams

from .odd_servers import H264, LOOPBACK, Script, served

PASSWORD = "Tr0ub4dor"
BASIC = Response(401, Headers([("WWW-Authenticate", 'Basic realm="camera"')]))


@dataclass
class Scripted:
    """Camera whose answer to DESCRIBE a test chooses."""

    answer: Response = field(default_factory=lambda: Response(200, Headers(), H264))
    password: str | None = None

    def __call__(self, request: Request) -> Response | None:
        if request.method != "DESCRIBE":
            return Response(200)
        if self.password is not None and self.password not in _decoded(request):
            return BASIC
        return self.answer


def _decoded(request: Request) -> str:
    return base64.b64decode(request.headers.get("Authorization").removeprefix("Basic ") or "").decode()


@dataclass
class World:
    """Source with the registry of a real agent, a clock that a test sets forward, and names that it chooses."""

    folder: Path
    port: int
    script: Scripted
    server: Script
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    names: dict[str, Sequence[IpAddress]] = field(default_factory=dict)
    configured: tuple[ConfiguredStream, ...] = ()
    most: int = 5

    def __post_init__(self) -> None:
        ledger = Ledger(self.folder / "cameras.json")
        self.registry = CameraRegistry(ledger, events=EventBus(self.clock), clock=self.clock)

    def url(self, path: str = "live", *, user: str = "", host: str = "127.0.0.1") -> str:
        return f"rtsp://{f'{user}@' if user else ''}{host}:{self.port}/{path}"

    async def resolve(self, name: str) -> Sequence[IpAddress]:
        return self.names[name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ExternalSource]:
        agent = FakeAgent(self.folder, clock=self.clock, cameras=cast("Any", self.registry))
        policy = AddressPolicy((ip_network("127.0.0.1/32"),))
        source = ExternalSource(
            agent,
            Prober(policy, self.resolve, 5.0, anyio.CapacityLimiter(4)),
            StreamFiles(self.folder),
            lambda: configured_streams(self.configured, self.clock.now()),
            most=self.most,
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(source.watch, SourceReport(self.registry, SOURCE))
            try:
                yield source
            finally:
                tasks.cancel_scope.cancel()

    async def add(self, source: ExternalSource, url: str, name: str = "Yard", **params: Any) -> Any:
        given = AddParams(stream_url=url, stream_name=name, **params)
        return await AddExternalStream(source, self.clock, lambda _: None).call(given)

    async def remove(self, source: ExternalSource, url: str) -> Any:
        return await RemoveExternalStream(source, self.clock).call(RemoveParams(stream_url=url))

    async def listed(self, source: ExternalSource) -> list[Any]:
        get = GetExternalStreams(source, list, self.clock)
        return (await get.call(get.Params())).external_streams

    def camera(self, device: str) -> Camera:
        return self.registry.get(device)

    async def until(self, device: str, status: CameraStatus, *, step_s: float = 31.0) -> None:
        """Let time pass until the camera has this status."""
        with anyio.fail_after(20):
            while self.camera(device).status is not status:
                await self.clock.advance(step_s)
                await anyio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    script = Scripted()
    server = Script(script)
    async with served(server) as at:
        yield World(tmp_path, at.port, script, server, names={"cam.test": [LOOPBACK]})


def input_of(camera: Camera) -> str:
    assert isinstance(camera.media_input, Url)
    return camera.media_input.url


async def test_a_stream_becomes_a_camera_and_comes_back_after_a_restart(world: World) -> None:
    async with world.running() as source:
        added = await world.add(source, world.url(user=f"admin:{PASSWORD}", host="cam.test"))
        assert added.stream_url == world.url(host="cam.test")
        camera = world.camera(added.device)
        assert (camera.status, camera.name) == (CameraStatus.CONNECTED, "Yard")
        assert input_of(camera) == world.url(user=f"admin:{PASSWORD}"), (
            "the media server gets the checked address"
        )
        (shown,) = await world.listed(source)
        assert (shown.device, shown.status, shown.online) == (added.device, "ADDED", True)
        assert (shown.capabilities.codec, shown.removable) == ("H264", True)
        told = f"{added!r} {shown!r} {camera!r}"
        assert PASSWORD not in told
        assert "admin" not in told
    assert world.camera(added.device).status is not CameraStatus.ERROR
    async with world.running() as source:
        assert world.camera(added.device).status is CameraStatus.CONNECTED
        assert [each.url for each in await world.listed(source)] == [added.stream_url]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rtsp://127.0.0.2/", "loopback"),
        ("rtsp://169.254.169.254/", "metadata_address"),
        ("rtsp://other.test/", "network_not_allowed"),
        ("http://127.0.0.1/", "scheme_not_allowed"),
    ],
)
async def test_a_forbidden_address_is_refused_without_a_connection(
    world: World, url: str, reason: str
) -> None:
    world.names["other.test"] = [LOOPBACK, ip_address("192.0.2.1")]
    async with world.running() as source:
        for verify in (True, False):
            with pytest.raises(InvalidParams) as refused:
                await world.add(source, url, verify=verify)
            assert (refused.value.reason, refused.value.param) == (reason, "stream_url")
        assert await world.listed(source) == []
    assert world.server.connections == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(302, Headers([("Location", "rtsp://127.0.0.1:1/x")])), "redirected"),
        (BASIC, "needs_credentials"),
        (Response(404), "not_found"),
        (Response(453), "refused"),
    ],
)
async def test_what_cannot_be_opened_is_refused_with_the_reason(
    world: World, answer: Response, reason: str
) -> None:
    world.script.answer = answer
    async with world.running() as source:
        with pytest.raises(CaptureFailed) as failed:
            await world.add(source, world.url())
        assert failed.value.reason == reason
        assert world.registry.list() == []
        added = await world.add(source, world.url(), verify=False)
        assert world.camera(added.device).media_input is None
    assert [*world.folder.glob("external_discovery-streams.json")]


async def test_an_error_about_an_address_has_no_password(world: World) -> None:
    world.script.password = "another"
    async with world.running() as source:
        for url in (
            world.url(user=f"admin:{PASSWORD}"),
            f"rtsp://admin:{PASSWORD}@127.0.0.2/",
            f"rtsp://admin:{PASSWORD}/x@127.0.0.1/",
            f"rtsp://127.0.0.9/live?password={PASSWORD}",
        ):
            with pytest.raises(AgentError) as failed:
                await world.add(source, url)
            error = failed.value
            assert PASSWORD not in f"{error.details} {error.suggestion} {error.data()}"


@pytest.mark.parametrize("user", ["a\r\nb", "\x7f", "a\u2028b"])
async def test_a_user_with_control_characters_is_refused(world: World, user: str) -> None:
    async with world.running() as source:
        with pytest.raises(InvalidParams) as refused:
            await world.add(source, world.url(), user=user, password=PASSWORD)
    assert refused.value.data()["rule"] == "bad_credentials"


async def test_what_exists_already_is_refused(world: World) -> None:
    async with world.running() as source:
        await world.add(source, world.url())
        for url, name, reason in (
            (world.url(user="a:b"), "Other", "stream_exists"),
            (world.url().replace("rtsp", "RTSP"), "Other", "stream_exists"),
            (world.url("other"), "YARD", "name_taken"),
        ):
            with pytest.raises(InvalidState) as refused:
                await world.add(source, url, name)
            assert refused.value.reason == reason
        for number in range(world.most - 1):
            await world.add(source, world.url(f"more{number}"), f"More {number}")
        with pytest.raises(InvalidState) as refused:
            await world.add(source, world.url("last"), "Last")
        assert refused.value.reason == "too_many_streams"


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 101])
def test_a_name_that_shows_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        AddParams(stream_url="rtsp://192.0.2.1/", stream_name=name)


async def test_two_calls_at_once_add_one_stream(world: World) -> None:
    outcomes: list[str] = []

    async def add(source: ExternalSource, name: str) -> None:
        try:
            outcomes.append((await world.add(source, world.url(), name)).status)
        except InvalidState as refused:
            outcomes.append(refused.reason)

    async with world.running() as source:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(add, source, f"Name {number}")
        assert sorted(outcomes) == ["ADDED", "stream_exists", "stream_exists", "stream_exists"]
        assert len(world.registry.list()) == 1


async def test_removing_what_is_not_there_is_not_found(world: World) -> None:
    async with world.running() as source:
        with pytest.raises(NotFound) as missing:
            await world.remove(source, f"rtsp://admin:{PASSWORD}@192.0.2.1/")
        assert missing.value.data() == {"resource": "external_stream", "id": "rtsp://192.0.2.1/"}


async def test_a_removed_stream_is_gone_for_good_and_its_id_waits_for_it(world: World) -> None:
    async with world.running() as source:
        added = await world.add(source, world.url(user=f"admin:{PASSWORD}"))
        assert (await world.remove(source, world.url(user="other:user"))).status == "REMOVED"
        assert (world.registry.list(), await world.listed(source)) == ([], [])
    assert all(PASSWORD not in path.read_text() for path in world.folder.glob("external_discovery*"))
    async with world.running() as source:
        assert world.registry.list() == []
        other = await world.add(source, world.url("other"), "Other")
        again = await world.add(source, world.url())
        assert again.device == added.device != other.device


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_stream_can_be_removed_in_any_state(world: World, is_gone: bool) -> None:
    world.script.answer = Response(503 if is_gone else 404)
    async with world.running() as source:
        added = await world.add(source, world.url(), verify=False)
        await world.clock.advance(2)
        await world.remove(source, added.stream_url)
        assert world.registry.list() == []


def usage() -> tuple[int, int]:
    """Return the numbers of open descriptors and of tasks."""
    gc.collect()
    return len([*Path("/proc/self/fd").iterdir()]), len(anyio.get_running_tasks())


async def test_cycles_leave_no_task_no_descriptor_and_no_new_id(world: World) -> None:
    async with world.running() as source:
        ids = set()
        for number in range(40):
            added = await world.add(source, world.url(f"{number % 4}"))
            ids.add(added.device)
            await world.remove(source, added.stream_url)
            if number == 8:
                before = usage()
        after = usage()
        assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert len(ids) == 4


async def test_a_camera_that_is_gone_is_disconnected_and_returns(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url())).device
        world.script.answer = Response(503)
        await world.until(device, CameraStatus.DISCONNECTED)
        assert world.camera(device).media_input is None
        (shown,) = await world.listed(source)
        assert (shown.online, shown.status) == (False, "ADDED")
        assert shown.details
        world.script.answer = Response(200, Headers(), H264)
        await world.until(device, CameraStatus.CONNECTED)


async def test_a_camera_that_begins_to_redirect_loses_its_input(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url())).device
        world.script.answer = Response(302, Headers([("Location", "rtsp://127.0.0.1:1/x")]))
        await world.until(device, CameraStatus.ERROR)
        assert world.camera(device).media_input is None
        gate = world.camera(device).detected.gate
        assert gate is not None
        with pytest.raises(CaptureFailed) as refused:
            await gate.admit()
        assert refused.value.reason == "redirected"
        world.script.answer = Response(200, Headers(), H264)
        assert await gate.admit() == Url(world.url())
        assert world.camera(device).status is CameraStatus.CONNECTED


async def test_a_redirect_is_judged_and_pinned_like_an_added_address(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url())).device
        gate = world.camera(device).detected.gate
        assert gate is not None
        world.names |= {"near.test": [ip_address("127.0.0.1")], "far.test": [ip_address("192.0.2.7")]}
        assert await gate.admit_redirect("rtsp://a:b@near.test/x?y=1") == "rtsp://127.0.0.1/x?y=1"
        for url, reason in (
            ("rtsp://127.0.0.2/x", "loopback"),
            ("rtsp://192.0.2.7/x", "network_not_allowed"),
            ("rtsp://far.test/x?token=s", "network_not_allowed"),
            ("rtsp://2130706433/x", "odd_address"),
            ("http://127.0.0.1/x", "scheme_not_allowed"),
        ):
            with pytest.raises(AddressRefused) as refused:
                await gate.admit_redirect(url)
            assert refused.value.reason == reason
        await world.remove(source, world.url())
        with pytest.raises(CaptureFailed):
            await gate.admit_redirect("rtsp://near.test/x")


class _SlowFiles(StreamFiles):
    """Files of a disk that is slow once `ends` is set: the source ends before they are written."""

    ends: anyio.CancelScope | None = None

    async def save(self, streams: tuple[AddedStream, ...]) -> None:
        if self.ends is not None:
            self.ends.cancel()
            await anyio.wait_all_tasks_blocked()
        await super().save(streams)


async def test_a_source_that_ends_while_streams_are_stored_neither_fails_nor_forgets(world: World) -> None:
    agent = FakeAgent(world.folder, clock=world.clock, cameras=cast("Any", world.registry))
    prober = Prober(
        AddressPolicy((ip_network("127.0.0.1/32"),)), world.resolve, 5.0, anyio.CapacityLimiter(4)
    )
    files = _SlowFiles(world.folder)
    source = ExternalSource(agent, prober, files, tuple, most=5)

    async def during(change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        files.ends = None
        async with anyio.create_task_group() as outer, anyio.create_task_group() as tasks:
            await tasks.start(source.watch, SourceReport(world.registry, SOURCE))
            files.ends = tasks.cancel_scope
            outer.start_soon(change)

    async def add() -> None:
        with pytest.raises(InvalidState):
            await world.add(source, world.url())

    async def remove() -> None:
        await world.remove(source, world.url())

    await during(add)
    assert len(await files.load()) == 1
    await during(remove)
    assert await files.load() == ()
    assert [each.removed for each in world.registry.list()] in ([], [True])


async def test_a_wrong_password_is_not_tried_again_by_those_who_ask(world: World) -> None:
    world.script.password = PASSWORD
    async with world.running() as source:
        device = (await world.add(source, world.url(user=f"a:{PASSWORD}"))).device
        world.script.password = "changed"
        await world.until(device, CameraStatus.ERROR)
        logins = len(world.server.requests)
        gate = world.camera(device).detected.gate
        assert gate is not None
        for _ in range(20):
            with pytest.raises(CaptureFailed) as refused:
                await gate.admit()
            assert refused.value.reason == "wrong_credentials"
            await world.clock.advance(1)  # with the last step of `until`, less than the shortest pause
        assert len(world.server.requests) == logins
        world.script.password = PASSWORD
        await world.until(device, CameraStatus.CONNECTED, step_s=200)


async def test_a_name_is_resolved_and_judged_before_each_opening(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url(host="cam.test"))).device
        gate = world.camera(device).detected.gate
        assert gate is not None
        assert await gate.admit() == Url(world.url())
        world.names["cam.test"] = [LOOPBACK, ip_address("169.254.169.254")]
        with pytest.raises(CaptureFailed) as refused:
            await gate.admit()
        assert refused.value.reason == "metadata_address"
        assert world.camera(device).status is CameraStatus.ERROR
        assert world.camera(device).media_input is None
        world.names["cam.test"] = [LOOPBACK]
        assert await gate.admit() == Url(world.url())


async def test_streams_of_the_configuration_stay(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    given = {
        "url": world.url(),
        "name": "Gate",
        "id": "camera7",
        "user": "admin",
        "password_file": str(secret),
    }
    world.configured = (ConfiguredStream.model_validate(given),)
    world.script.password = PASSWORD
    async with world.running() as source:
        assert world.camera("camera7").status is CameraStatus.CONNECTED
        (shown,) = await world.listed(source)
        assert (shown.device, shown.removable, shown.capabilities.source) == (
            "camera7",
            False,
            "configuration",
        )
        with pytest.raises(InvalidState) as refused:
            await world.remove(source, world.url())
        assert "[[plugins.external_discovery.streams]]" in refused.value.suggestion
        with pytest.raises(InvalidState):
            await world.add(source, world.url(), "Other")
    assert not [*world.folder.glob("external_discovery*")], "they are not stored"


async def test_a_missing_password_file_is_told(world: World, tmp_path: Path) -> None:
    given = {"url": world.url(), "name": "Gate", "user": "admin", "password_file": str(tmp_path / "missing")}
    for content in (None, b"", b"\nsecond line", b"\xff"):
        if content is not None:
            (tmp_path / "missing").write_bytes(content)
        with pytest.raises(AgentError) as failed:
            configured_streams((ConfiguredStream.model_validate(given),), world.clock.now())
        assert failed.value.reason == "password_file"


@pytest.mark.parametrize(
    "stream",
    [
        {"url": f"rtsp://a:{PASSWORD}/x@192.0.2.1/"},
        {"url": f"http://a:{PASSWORD}@192.0.2.1/"},
        {"url": f"rtsp://a:{PASSWORD}@192.0.2.1/", "user": "b"},
        {"url": "rtsp://192.0.2.1/", "password": PASSWORD},
        {"url": "rtsp://192.0.2.1/", "user": "a", "password": PASSWORD, "password_file": "/x"},
        {"url": f"rtsp://a:{PASSWORD}@192.0.2.1/", "name": ""},
    ],
)
def test_wrong_settings_are_refused_without_the_password(stream: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        ExternalDiscoverySettings.model_validate({"streams": [{"name": "Gate", **stream}]})
    assert PASSWORD not in str(refused.value)


async def test_an_ended_source_admits_nothing_and_says_why_it_adds_nothing(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url())).device
        gate = world.camera(device).detected.gate
    assert gate is not None
    with pytest.raises(CaptureFailed):
        await gate.admit()
    with pytest.raises(InvalidState) as refused:
        await world.add(source, world.url("other"), "Other")
    assert refused.value.reason == "source_not_running"


async def test_a_camera_stays_while_its_name_does_not_resolve(world: World) -> None:
    async with world.running() as source:
        device = (await world.add(source, world.url(host="cam.test"))).device
        gate = world.camera(device).detected.gate
        assert gate is not None
        world.names["cam.test"] = []
        assert await gate.admit() == Url(world.url())
        assert world.camera(device).status is CameraStatus.CONNECTED
        with pytest.raises(CaptureFailed) as failed:
            await world.add(source, world.url("other", host="cam.test"), "Other")
        assert failed.value.reason == "name_not_resolved"
