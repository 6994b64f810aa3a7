"""Streams announced by DNS-SD. Debian's Avahi is the announcer."""

import shutil
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import anyio
import pytest

from agent_core.base import processes
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.results import FoundStream, ScanReport
from external_discovery.tracks import Track
from plugins.external_discovery.tests.discovery.scanner import scanner
from plugins.external_discovery.tests.network.cameras import running_camera
from plugins.external_discovery.tests.network.clips import Clips
from plugins.external_discovery.tests.network.lan import Host, Network
from plugins.external_discovery.tests.network.odd import describes, is_silent, running_odd

pytestmark = pytest.mark.anyio

DNSSD = frozenset((StreamKind.DNSSD,))
_CONFIG = """\
[server]
host-name={name}
use-ipv4=yes
use-ipv6={ipv6}
enable-dbus=no
disallow-other-stacks=no
[wide-area]
enable-wide-area=no
[rlimits]
"""
_SERVICE = """\
<?xml version="1.0" standalone="no"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>{name}</name><service><type>_rtsp._tcp</type><port>{port}</port>{records}</service></service-group>
"""
_START_TIMEOUT_S = 20.0


@asynccontextmanager
async def announced(
    host: Host, folder: Path, *services: tuple[str, int, Sequence[str]], ipv6: bool = False
) -> AsyncIterator[None]:
    """Announce services, each by name, port and TXT records, for as long as the context is open."""
    if shutil.which("avahi-daemon") is None or shutil.which("unshare") is None:
        pytest.skip("no Avahi: install avahi-daemon")
    etc = folder / "avahi"
    (etc / "services").mkdir(parents=True)
    (folder / "run").mkdir()
    (etc / "avahi-daemon.conf").write_text(_CONFIG.format(name=host.name, ipv6="yes" if ipv6 else "no"))
    for number, (name, port, records) in enumerate(services):
        texts = "".join(f"<txt-record>{each}</txt-record>" for each in records)
        file = etc / "services" / f"{number}.service"
        file.write_text(_SERVICE.format(name=escape(name), port=port, records=texts))
    # Avahi reads /etc/avahi and locks /run/avahi-daemon: each one gets folders of its own there.
    script = (
        'mount --bind "$1" /etc/avahi && mount -t tmpfs none /run && '
        "exec avahi-daemon --no-rlimits --no-drop-root --no-chroot --no-proc-title"
    )
    command = host.command("unshare", "--mount", "sh", "-c", script, "sh", str(etc))
    log = folder / "avahi.log"
    with log.open("wb") as output:
        async with processes.child(command, stdout=output.fileno(), stderr=output.fileno()):
            with anyio.fail_after(_START_TIMEOUT_S):
                while log.read_text().count("successfully established") < len(services):
                    await anyio.sleep(0.05)
            yield


async def search(folder: Path, **settings: object) -> tuple[dict[str, FoundStream], ScanReport]:
    given = {"dnssd": True, "multicast_wait_s": 3, **settings}
    async with scanner(folder, given=given) as scan:
        report = await scan.service.scan(DNSSD)
        return scan.found, report


async def test_an_announced_stream_is_found_under_its_name(
    network: Network, clips: Clips, tmp_path: Path
) -> None:
    host = network.add_host("camera")
    service = ("Yard \u00e4 & gate", 8554, ("path=live/yard", "other=1"))
    async with (
        running_camera(host, tmp_path, clips.h264(), server="embedded", port=8554, paths=("live/yard",)),
        announced(host, tmp_path, service),
    ):
        found, report = await search(tmp_path)
    (stream,) = found.values()
    assert stream.url == f"rtsp://{host.v4}:8554/live/yard"
    assert (stream.name, stream.kind) == ("Yard \u00e4 & gate", StreamKind.DNSSD)
    assert stream.tracks == (Track("video", "H264", 90_000),)
    assert report.errors == ()


async def test_announcements_that_lead_nowhere_are_named(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    services = (("silent", 554, ()), ("closed", 9, ()), ("odd path", 8554, ("path=a b",)))
    async with running_odd(host, is_silent), announced(host, tmp_path, *services):
        found, report = await search(tmp_path, answer_timeout_s=2)
    assert found == {}
    assert len(report.errors) == 3
    assert sum("does not open" in each for each in report.errors) == 2
    assert sum("no usable address" in each for each in report.errors) == 1


async def test_announcements_from_other_networks_are_not_followed(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    async with running_odd(host, describes()) as server, announced(host, tmp_path, ("cam", 554, ())):
        found, report = await search(tmp_path, networks=["10.77.0.9/32"])
    assert (found, server.connections) == ({}, 0)
    assert any("none of the networks" in each for each in report.errors)


async def test_an_ipv6_address_is_used_where_only_it_is_allowed(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    async with running_odd(host, describes()), announced(host, tmp_path, ("cam", 554, ()), ipv6=True):
        found, _ = await search(tmp_path, networks=["fd77::/64"])
    assert list(found) == [f"rtsp://[{host.v6}]/"]


async def test_it_is_switched_off_by_default(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    async with running_odd(host, describes()) as server, announced(host, tmp_path, ("cam", 554, ())):
        found, report = await search(tmp_path, dnssd=False)
    assert (found, report.errors, server.connections) == ({}, (), 0)


async def test_only_the_configured_interfaces_are_searched(network: Network, tmp_path: Path) -> None:
    near, far = network.add_host("near"), network.add_host("far", wire=network.add_wire())
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
    async with (
        running_odd(near, describes()),
        running_odd(far, describes()),
        announced(near, tmp_path / "near", ("near", 554, ())),
        announced(far, tmp_path / "far", ("far", 554, ())),
    ):
        both, _ = await search(tmp_path, networks=["10.77.0.0/16"], interfaces=[])
        one, _ = await search(tmp_path, networks=["10.77.0.0/16"], interfaces=["eth1"])
        none, report = await search(tmp_path, interfaces=["eth7"])
    assert {stream.name for stream in both.values()} == {"near", "far"}
    assert {stream.name for stream in one.values()} == {"far"}
    assert none == {}
    assert any("no such interface" in each for each in report.errors)


def _name(*labels: bytes) -> bytes:
    return b"".join(bytes((len(each),)) + each for each in labels) + b"\0"


def _announcement(*labels: bytes) -> bytes:
    """Return a message of multicast DNS that announces a stream of that name."""
    target = _name(*labels)
    record = _name(b"_rtsp", b"_tcp", b"local") + struct.pack(">HHIH", 12, 1, 4500, len(target)) + target
    return struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + record


async def test_impossible_names_do_not_end_a_search(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The library raises an error for them; it once ended the component of scans."""
    evil, camera = network.add_host("evil"), network.add_host("camera")
    names = (
        (b"no dots", b"and no type"),
        (b"printer", b"_http", b"_tcp", b"local"),
        (b"_rtsp", b"_tcp", b"local"),
    )
    with evil.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.bind((str(evil.v4), 5353))

        async def announce() -> None:
            while True:
                for labels in names:
                    sender.sendto(_announcement(*labels), ("224.0.0.251", 5353))
                await anyio.sleep(0.1)

        async with (
            running_odd(camera, describes()),
            announced(camera, tmp_path, ("Yard", 554, ())),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(announce)
            found, report = await search(tmp_path, answer_timeout_s=2)
            tasks.cancel_scope.cancel()
    assert [stream.name for stream in found.values()] == ["Yard"]
    assert any("could not be resolved" in each for each in report.errors)
    assert not any("by a fault" in each for each in report.errors)
    assert not caplog.records, caplog.text
