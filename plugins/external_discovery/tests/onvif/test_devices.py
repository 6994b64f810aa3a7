"""ONVIF cameras on a network. zeep, the WSDLs and WSDiscovery judge every message."""

from pathlib import Path

import anyio
import pytest

from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.results import FoundStream, ScanReport
from external_discovery.tracks import Track
from external_discovery.wire import AddParams
from plugins.external_discovery.tests.discovery.scanner import scanner
from plugins.external_discovery.tests.network.cameras import running_camera
from plugins.external_discovery.tests.network.clips import Clips
from plugins.external_discovery.tests.network.lan import Network
from plugins.external_discovery.tests.network.odd import describes, running_odd
from plugins.external_discovery.tests.onvif.running import MEDIA1, MEDIA2, Profile, running_onvif

pytestmark = pytest.mark.anyio

ONVIF = frozenset((StreamKind.ONVIF,))
PASSWORD = "s3cret & <more>"
ACCOUNT = {"network": "10.77.0.0/16", "user": "viewer", "password": PASSWORD}


async def search(folder: Path, **settings: object) -> tuple[dict[str, FoundStream], ScanReport]:
    given = {"networks": ["10.77.0.0/16"], "multicast_wait_s": 3, "onvif_accounts": [ACCOUNT], **settings}
    async with scanner(folder, given=given) as scan:
        report = await scan.service.scan(ONVIF)
        return scan.found, report


def errors_of(report: ScanReport) -> list[str]:
    """Return the errors but the one about the network's size."""
    return [each for each in report.errors if "too large" not in each]


@pytest.mark.parametrize("media", [(MEDIA1,), (MEDIA1, MEDIA2)], ids=["Media1", "Media2"])
@pytest.mark.parametrize("clock_off_s", [0, -3 * 3600, 1e8])
async def test_a_camera_with_a_password_and_a_wrong_clock_lists_its_streams(
    network: Network, clips: Clips, tmp_path: Path, media: tuple[str, ...], clock_off_s: float
) -> None:
    host = network.add_host("camera")
    paths = ("Streaming/Channels/101", "sub")
    base = f"rtsp://{host.v4}:554"
    profiles = [Profile("main", f"{base}/{paths[0]}"), Profile("sub", f"{base}/{paths[1]}")]
    async with (
        running_camera(host, tmp_path, clips.h264(), paths=paths),
        running_onvif(host, *profiles, password=PASSWORD, media=media, clock_off_s=clock_off_s) as device,
    ):
        found, report = await search(tmp_path)
    assert device.failures == []
    assert device.refused == []
    assert errors_of(report) == []
    assert {url: stream.name for url, stream in found.items()} == {
        f"rtsp://{host.v4}/{paths[0]}": "Front door main",
        f"rtsp://{host.v4}/{paths[1]}": "Front door sub",
    }
    for stream in found.values():
        assert (stream.kind, stream.needs_credentials) == (StreamKind.ONVIF, False)
        assert stream.tracks == (Track("video", "H264", 90_000),)


async def test_a_stream_that_needs_a_password_has_the_codec_of_its_profile(
    network: Network, clips: Clips, tmp_path: Path
) -> None:
    host = network.add_host("camera")
    profile = Profile("main", f"rtsp://{host.v4}/stream1", "H265")
    async with (
        running_camera(host, tmp_path, clips.h265(), password="digest"),
        running_onvif(host, profile, password=PASSWORD),
    ):
        found, _ = await search(tmp_path)
    (stream,) = found.values()
    assert stream.needs_credentials
    assert [track.codec for track in stream.tracks] == ["H265"]


async def test_names_of_streams_are_different_and_short_enough_to_add(
    network: Network, tmp_path: Path
) -> None:
    host = network.add_host("camera")
    profiles = [Profile("main", f"rtsp://{host.v4}/a"), Profile("x" * 200, f"rtsp://{host.v4}/b")]
    scopes = ["onvif://www.onvif.org/name/" + "y" * 200]
    async with running_odd(host, describes()), running_onvif(host, *profiles, scopes=scopes):
        found, _ = await search(tmp_path)
    names = {stream.name for stream in found.values()}
    assert len(names) == 2
    for name in names:
        AddParams(stream_url="rtsp://192.0.2.1/", stream_name=name)


async def test_a_device_from_before_get_services(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    profile = Profile("main", f"rtsp://{host.v4}/any", "JPEG")
    async with (
        running_odd(host, describes()),
        running_onvif(host, profile, old=True, media=(MEDIA1,), password=PASSWORD) as device,
    ):
        found, _ = await search(tmp_path)
    assert list(found) == [f"rtsp://{host.v4}/any"]
    assert "GetCapabilities" in device.asked


@pytest.mark.parametrize("accounts", [[], [{**ACCOUNT, "password": "wrong"}]], ids=["none", "wrong"])
async def test_without_the_right_account_no_second_one_is_tried(
    network: Network, tmp_path: Path, accounts: list[object]
) -> None:
    host = network.add_host("camera")
    async with running_onvif(host, Profile("main", f"rtsp://{host.v4}/"), password=PASSWORD) as device:
        found, report = await search(tmp_path, onvif_accounts=accounts)
    assert found == {}
    assert device.refused == ["NotAuthorized"]
    (error,) = errors_of(report)
    assert f"Front door at {host.v4}" in error
    assert ("onvif_accounts" in error) == (not accounts)


async def test_the_account_of_the_smallest_network_is_used(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    wrong = {**ACCOUNT, "password": "wrong"}
    accounts = [wrong, {**ACCOUNT, "network": f"{host.v4}/32"}, {**wrong, "network": "10.77.0.128/25"}]
    async with (
        running_odd(host, describes()),
        running_onvif(host, Profile("main", f"rtsp://{host.v4}/"), password=PASSWORD) as device,
    ):
        found, _ = await search(tmp_path, onvif_accounts=accounts)
    assert (len(found), device.refused) == (1, [])


async def test_what_a_device_names_leads_to_no_other_host(network: Network, tmp_path: Path) -> None:
    """agsh/onvif#63, #170; open-nvr#302. The fixture fails the test if anything leaves the network."""
    host = network.add_host("camera")
    own = network.agent.v4
    named = ("169.254.119.177", "203.0.113.7:8080", "127.0.0.1", "[fe80::1]", "camera.internal")
    uris = ("rtsp://203.0.113.7:554/a", "rtsp://127.0.1.1/b", f"rtsp://{own}/c", "rtsp://169.254.169.254/d")
    odd = (
        "rtsp://10.77.0.2:80:554/e",
        "http://203.0.113.7/f",
        "file:///etc/passwd",
        "rtsp://camera.internal/g",
    )
    profiles = [Profile(uri, uri) for uri in (*uris, *odd)]
    async with running_odd(host, describes()), running_onvif(host, *profiles, hosts=named, password=PASSWORD):
        found, report = await search(tmp_path)
    assert sorted(found) == [f"rtsp://{host.v4}/{path}" for path in "abcdg"]
    errors = errors_of(report)
    assert len(errors) == 3
    assert all("no usable address" in error for error in errors)


async def test_a_stream_that_its_server_does_not_know_is_not_listed(
    network: Network, clips: Clips, tmp_path: Path
) -> None:
    host = network.add_host("camera")
    async with (
        running_camera(host, tmp_path, clips.h264(), server="embedded"),
        running_onvif(host, Profile("main", f"rtsp://{host.v4}/gone")),
    ):
        found, report = await search(tmp_path)
    assert found == {}
    assert any("does not open" in error for error in report.errors)


@pytest.mark.parametrize("types", [("nvt",), ("device",), ("nvt", "device")])
async def test_each_type_of_device_answers_and_is_listed_once(
    network: Network, tmp_path: Path, types: tuple[str, ...]
) -> None:
    host = network.add_host("camera")
    async with (
        running_odd(host, describes()) as server,
        running_onvif(host, Profile("main", f"rtsp://{host.v4}/x"), types=types),
    ):
        found, _ = await search(tmp_path)
    assert len(found) == 1
    assert server.connections == 1


async def test_devices_at_every_interface_answer(network: Network, tmp_path: Path) -> None:
    near, far = network.add_host("near"), network.add_host("far", wire=network.add_wire())
    async with (
        running_odd(near, describes()),
        running_odd(far, describes()),
        running_onvif(near, Profile("main", f"rtsp://{near.v4}/x")),
        running_onvif(far, Profile("main", f"rtsp://{far.v4}/x")),
    ):
        both, _ = await search(tmp_path, interfaces=[])
        one, _ = await search(tmp_path, interfaces=["eth1"])
        _, report = await search(tmp_path, interfaces=["eth7"])
    assert len(both) == 2
    assert list(one) == [f"rtsp://{far.v4}/x"]
    assert any("eth7" in error for error in report.errors)


async def test_devices_of_other_networks_are_named_and_not_asked(network: Network, tmp_path: Path) -> None:
    host = network.add_host("camera")
    async with running_onvif(host, Profile("main", f"rtsp://{host.v4}/x")) as device:
        found, report = await search(tmp_path, networks=["10.77.0.9/32"])
    assert (found, device.lines) == ({}, [])
    assert any(f"at {host.v4} is in none of the networks" in error for error in report.errors)


async def test_cancelling_ends_the_search(network: Network, tmp_path: Path) -> None:
    async with scanner(tmp_path, multicast_wait_s=60) as scan:
        with anyio.move_on_after(0.3):
            await scan.service.scan(ONVIF)
        await scan.reached("STARTED", "CANCELLED")
