"""Scans on demand and by interval: shared, cached, cancelled, and what stays of them."""

import json
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import InvalidState
from agent_core.testing import SimulatedClock
from external_discovery.discovery.interval import StoredInterval
from external_discovery.discovery.kinds import ALL as ALL_KINDS
from external_discovery.discovery.kinds import StreamKind
from plugins.external_discovery.tests.discovery.scanner import Scanner, scanner
from plugins.external_discovery.tests.network.lan import Network
from plugins.external_discovery.tests.network.odd import describes, is_silent, running_odd

pytestmark = pytest.mark.anyio

SKYDIO = frozenset((StreamKind.SKYDIO,))
GENERIC = frozenset((StreamKind.GENERIC,))
FINISHED = ["STARTED", "FINISHED"]
#: One host that never answers: a scan lasts until it is cancelled.
STUCK = {"networks": ["10.77.0.2/32"], "connect_timeout_s": 30, "answer_timeout_s": 30}


async def test_a_second_caller_joins_the_scan(network: Network, tmp_path: Path) -> None:
    reports = []
    async with running_odd(network.add_host("camera"), describes()), scanner(tmp_path) as scan:

        async def call() -> None:
            reports.append(await scan.service.scan(GENERIC, force=True))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
    assert scan.states == ["STARTED", "FINISHED"]
    assert len(reports) == 3
    assert all(report is reports[0] for report in reports)


async def test_a_scan_for_something_else_waits_for_its_turn(network: Network, tmp_path: Path) -> None:
    async with scanner(tmp_path, networks=["10.77.0.2/32"]) as scan:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scan.service.scan, SKYDIO)
            tasks.start_soon(scan.service.scan, GENERIC)
    assert scan.states == ["STARTED", "FINISHED"] * 2


async def test_a_recent_report_answers_unless_a_scan_is_forced(network: Network, tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with scanner(tmp_path, clock, networks=["10.77.0.2/32"], result_age_s=60) as scan:
        first = await scan.service.scan(SKYDIO | GENERIC)
        clock.jump(59)
        assert await scan.service.scan(SKYDIO) is first
        assert await scan.service.scan(SKYDIO, force=True) is not first
        # The forced one did not search for cameras.
        assert await scan.service.scan(GENERIC) is first
        clock.jump(2)
        assert await scan.service.scan(GENERIC) is not first


async def test_the_scan_ends_with_its_last_caller(network: Network, tmp_path: Path) -> None:
    network.wire.add_silent(1)
    async with scanner(tmp_path, given=STUCK) as scan:
        async with anyio.create_task_group() as first, anyio.create_task_group() as second:
            first.start_soon(scan.service.scan, GENERIC)
            second.start_soon(scan.service.scan, GENERIC)
            await scan.reached("STARTED")
            first.cancel_scope.cancel()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert scan.states == ["STARTED"]
            second.cancel_scope.cancel()
        await scan.reached("STARTED", "CANCELLED")


async def test_a_new_caller_gets_a_scan_of_its_own_after_a_cancelled_one(
    network: Network, tmp_path: Path
) -> None:
    network.wire.add_silent(1)
    async with scanner(tmp_path, given=STUCK) as scan:
        with anyio.move_on_after(0.3):
            await scan.service.scan(GENERIC)
        with anyio.move_on_after(0.3):
            await scan.service.scan(GENERIC)
        await scan.reached(*["STARTED", "CANCELLED"] * 2)


async def test_without_the_component_no_scan_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidState):
        await Scanner(tmp_path, None, {}).service.scan(GENERIC)


async def test_a_camera_that_goes_is_offline_and_is_forgotten_later(network: Network, tmp_path: Path) -> None:
    clock = SimulatedClock()
    settings = {"networks": ["10.77.0.2/32"], "keep_offline_s": 100}
    async with scanner(tmp_path, clock, settings) as scan:
        async with running_odd(network.add_host("camera"), describes()):
            await scan.service.scan(GENERIC)
            seen_at = clock.now()
        clock.jump(50)
        await scan.service.scan(GENERIC, force=True)
        (stream,) = scan.service.streams()
        assert (stream.online, stream.last_seen) == (False, seen_at)
        clock.jump(51)
        assert scan.service.streams() == ()


async def test_a_scan_that_its_limit_ends_calls_streams_of_tried_hosts_offline(
    network: Network, tmp_path: Path
) -> None:
    first, stuck, last = (network.add_host(name) for name in ("first", "stuck", "last"))
    networks = [f"{host.v4}/32" for host in (first, stuck, last)]
    given = {"networks": networks, "hosts_at_once": 1, "scan_limit_s": 8}
    async with scanner(tmp_path, given=given) as scan, running_odd(last, describes()):
        async with running_odd(first, describes()):
            assert (await scan.service.scan(GENERIC)).errors == ()
        async with running_odd(stuck, is_silent):
            report = await scan.service.scan(GENERIC, force=True)
        found = {stream.address.host: stream.online for stream in scan.service.streams()}
    assert "were not tried" in report.errors[-1]
    assert found == {str(first.v4): False, str(last.v4): True}


async def test_a_cancelled_scan_calls_nothing_offline(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    async with scanner(tmp_path, networks=["10.77.0.2/32"]) as scan:
        async with running_odd(host, describes()):
            await scan.service.scan(GENERIC)
        host.unplug()
        with anyio.move_on_after(0.2):
            await scan.service.scan(GENERIC, force=True)
        await scan.reached("STARTED", "FINISHED", "STARTED", "CANCELLED")
        assert [stream.online for stream in scan.service.streams()] == [True]


async def test_an_interval_takes_effect_at_once_and_again_when_it_has_passed(
    network: Network, tmp_path: Path
) -> None:
    clock = SimulatedClock()
    host = network.add_host("camera")
    settings = {"networks": ["10.77.0.2/32"], "onvif": False}
    async with running_odd(host, describes()) as server, scanner(tmp_path, clock, settings) as scan:
        await clock.advance(100_000)
        assert server.connections == 0
        await scan.service.set_interval(3600)
        await scan.reached("STARTED", "FINISHED")
        await clock.advance(3599)
        assert len(scan.states) == 2
        await clock.advance(1)
        await scan.reached(*FINISHED * 2)
        await scan.service.set_interval(60)
        await clock.advance(60)
        await scan.reached(*FINISHED * 3)
        await scan.service.set_interval(0)
        await clock.advance(100_000)
        assert len(scan.states) == 6


async def test_an_interval_survives_a_restart_until_the_configured_one_changes(tmp_path: Path) -> None:
    async with scanner(tmp_path, networks=[], scan_interval_s=0) as scan:
        await scan.service.set_interval(300)
    async with scanner(tmp_path, networks=[], scan_interval_s=0) as scan:
        assert scan.service.interval_s == 300
    async with scanner(tmp_path, networks=[], scan_interval_s=900) as scan:
        assert scan.service.interval_s == 900


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\0",
        '{"configured_s": 0, "value_s": -1}',
        '{"configured_s": 0, "value_s": true}',
        "7" * 9999,
    ],
)
async def test_a_damaged_file_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "external_discovery-interval.json").write_text(text)
    async with scanner(tmp_path, networks=[], scan_interval_s=0) as scan:
        assert scan.service.interval_s == 0


async def test_of_intervals_set_at_once_the_last_one_is_stored(tmp_path: Path) -> None:
    interval = StoredInterval(tmp_path, 0)

    async def set_to(value_s: int) -> None:
        interval.value_s = value_s
        await interval.store()

    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            for value_s in range(8):
                tasks.start_soon(set_to, value_s)
        restarted = StoredInterval(tmp_path, 0)
        await restarted.load()
        assert restarted.value_s == interval.value_s


async def test_an_interval_that_cannot_be_stored_is_in_effect(tmp_path: Path) -> None:
    blocked = tmp_path / "external_discovery-interval.json"
    blocked.mkdir()
    (blocked / "file").touch()
    async with scanner(tmp_path, networks=[]) as scan:
        with pytest.raises(OSError, match="irectory"):
            await scan.service.set_interval(300)
        assert scan.service.interval_s == 300


async def test_the_stored_interval_names_its_plugin(tmp_path: Path) -> None:
    async with scanner(tmp_path, networks=[]) as scan:
        await scan.service.set_interval(300)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("external_discovery")
    assert json.loads(file.read_text())["value_s"] == 300


async def test_a_scan_by_interval_searches_for_everything(network: Network, tmp_path: Path) -> None:
    settings = {"networks": ["10.77.0.2/32"], "scan_interval_s": 3600, "result_age_s": 3600}
    async with scanner(tmp_path, SimulatedClock(), settings) as scan:
        await scan.reached("STARTED", "FINISHED")
        await scan.service.scan(ALL_KINDS)
        assert len(scan.states) == 2
