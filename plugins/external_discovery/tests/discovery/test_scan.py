"""Scans of real networks: what is found, how much each host is asked, and how the scan ends."""

from pathlib import Path

import anyio
import pytest

from external_discovery.discovery.kinds import ALL as ALL_KINDS
from external_discovery.discovery.kinds import StreamKind
from external_discovery.tracks import Track
from plugins.external_discovery.tests.discovery.scanner import scanner
from plugins.external_discovery.tests.network.cameras import running_camera
from plugins.external_discovery.tests.network.clips import Clips
from plugins.external_discovery.tests.network.lan import Network
from plugins.external_discovery.tests.network.odd import (
    Conversation,
    answers_http,
    describes,
    drips,
    endless,
    is_silent,
    redirects,
    running_odd,
    talks_garbage,
)

pytestmark = pytest.mark.anyio

SKYDIO = frozenset((StreamKind.SKYDIO,))
GENERIC = frozenset((StreamKind.GENERIC,))
FULL = "10.77.0.0/24"


async def test_streams_of_cameras_and_uavs_are_found_with_their_codecs(
    network: Network, clips: Clips, tmp_path: Path
) -> None:
    camera, drone, other = (network.add_host(name) for name in ("camera", "drone", "other"))
    async with (
        running_camera(camera, tmp_path / "camera", clips.h265(), paths=("stream1",)),
        running_camera(drone, tmp_path / "drone", clips.h264(), port=5554, paths=("subject", "infrared")),
        running_camera(
            other, tmp_path / "other", clips.h264_with_aac(), server="embedded", port=8554, paths=("live",)
        ),
        scanner(tmp_path) as scan,
    ):
        await scan.service.scan(SKYDIO | GENERIC)
        found = scan.found
    urls = {f"rtsp://{camera.v4}/stream1", f"rtsp://{other.v4}:8554/live"}
    skydio = {f"rtsp://{drone.v4}:5554/subject", f"rtsp://{drone.v4}:5554/infrared"}
    assert set(found) == urls | skydio
    assert {url for url, stream in found.items() if stream.kind is StreamKind.SKYDIO} == skydio
    assert found[f"rtsp://{camera.v4}/stream1"].tracks == (Track("video", "H265", 90_000),)
    assert {track.codec for track in found[f"rtsp://{other.v4}:8554/live"].tracks} == {"H264", "AAC"}
    assert all(stream.online and not stream.needs_credentials for stream in found.values())


async def test_ports_that_are_no_streams_are_not_listed(network: Network, tmp_path: Path) -> None:
    async with (
        anyio.create_task_group() as tasks,
        scanner(tmp_path, answer_timeout_s=1, connect_timeout_s=1) as scan,
    ):
        for talk in (
            is_silent,
            talks_garbage,
            endless,
            answers_http,
            drips(),
            redirects("rtsp://127.0.0.1/"),
        ):
            await tasks.start(_run_odd, network, talk)
        report = await scan.service.scan(GENERIC)
        assert scan.found == {}
        assert report.errors == ()
        tasks.cancel_scope.cancel()


async def _run_odd(network: Network, talk: object, *, task_status: object) -> None:
    host = network.add_host("odd")
    async with running_odd(host, talk):  # type: ignore[arg-type] # as parametrized
        task_status.started()  # type: ignore[attr-defined] # anyio's
        await anyio.sleep_forever()


async def test_a_host_that_asks_for_a_password_is_asked_once_and_gets_none(
    network: Network, tmp_path: Path
) -> None:
    asked: list[tuple[str, str]] = []
    connections = 0

    async def dahua(conversation: Conversation) -> None:
        nonlocal connections
        connections += 1
        while True:
            method, uri, cseq = await conversation.request()
            asked.append((method, uri))
            if method == "OPTIONS":
                await conversation.answer(cseq)
            else:
                challenge = 'WWW-Authenticate: Digest realm="Login to 3G02A1", nonce="abc"'
                await conversation.answer(cseq, "401 Unauthorized", challenge)

    host = network.add_host("dahua")
    async with running_odd(host, dahua), scanner(tmp_path) as scan:
        await scan.service.scan(SKYDIO | GENERIC)
        (stream,) = scan.found.values()
    assert (connections, [method for method, _ in asked]) == (1, ["OPTIONS", "DESCRIBE"])
    assert stream.needs_credentials
    # The first path was refused too; the realm tells whose path is likely.
    assert stream.url == f"rtsp://{host.v4}/cam/realmonitor?channel=1&subtype=0"
    assert stream.tracks == ()


async def test_a_password_without_a_sign_of_the_maker_names_none(network: Network, tmp_path: Path) -> None:
    async def unknown(conversation: Conversation) -> None:
        while True:
            _, _, cseq = await conversation.request()
            challenge = 'WWW-Authenticate: Basic realm="LIVE555 Streaming Media"'
            await conversation.answer(cseq, "401 Unauthorized", challenge)

    host = network.add_host("camera")
    async with running_odd(host, unknown), scanner(tmp_path) as scan:
        await scan.service.scan(GENERIC)
        (stream,) = scan.found.values()
    assert (stream.url, stream.name) == (f"rtsp://{host.v4}/", f"camera {host.v4}")


async def test_a_host_that_answers_at_any_path_is_listed_once(network: Network, tmp_path: Path) -> None:
    async with running_odd(network.add_host("any"), describes()), scanner(tmp_path) as scan:
        await scan.service.scan(GENERIC)
        assert [stream.address.path for stream in scan.found.values()] == ["/"]


async def test_silent_hosts_take_their_time_out_side_by_side(network: Network, tmp_path: Path) -> None:
    silent = network.wire.add_silent(30)
    camera = network.add_host("camera")
    settings = {"networks": [FULL], "connect_timeout_s": 1.5, "hosts_at_once": 32, "scan_limit_s": 60}
    async with running_odd(camera, describes()), scanner(tmp_path, given=settings) as scan:
        report = await scan.service.scan(GENERIC)
    assert len(scan.found) == 1
    # 253 hosts in turns of 32; one after the other they would take 380 s, and more than the limit.
    assert len(silent) * 1.5 / 32 <= report.duration_s < 60
    assert report.errors == ()
    assert scan.progress[-1].hosts_done == scan.progress[-1].hosts_total == 253


async def test_a_scan_that_takes_too_long_says_how_many_hosts_are_left(
    network: Network, tmp_path: Path
) -> None:
    network.wire.add_silent(200)
    settings = {"networks": [FULL], "connect_timeout_s": 4, "hosts_at_once": 1, "scan_limit_s": 1}
    async with scanner(tmp_path, given=settings) as scan:
        report = await scan.service.scan(GENERIC)
    assert any("253 of 253 hosts were not tried within scan_limit_s (1 s)" in each for each in report.errors)


async def test_without_networks_nothing_is_sent_and_the_reason_is_told(
    network: Network, tmp_path: Path
) -> None:
    async with running_odd(network.add_host("camera"), describes()) as server:
        async with scanner(tmp_path, networks=[]) as scan:
            report = await scan.service.scan(ALL_KINDS)
    assert "discovery.networks" in report.errors[0]
    assert scan.found == {}
    assert server.connections == 0
