"""Profiles are data that scans can use."""

from external_discovery.discovery.profiles import GENERIC, SKYDIO
from external_discovery.probe import ProbeTarget
from plugins.external_discovery.tests.odd_servers import LOOPBACK

PATHS = [path for profile in (SKYDIO, GENERIC) for path in profile.paths]


def test_paths_are_addresses_and_stand_once() -> None:
    for path in PATHS:
        ProbeTarget(LOOPBACK, 554, path.path, "camera.test")
    assert len({path.path for path in PATHS}) == len(PATHS)


def test_no_path_holds_an_account() -> None:
    assert not [path.path for path in PATHS if "user" in path.path or "pass" in path.path]


def test_skydio() -> None:
    assert SKYDIO.ports == (5554,)
    assert [path.path for path in SKYDIO.paths] == ["/subject", "/infrared"]
    assert SKYDIO.all_paths


def test_realms_of_cameras_point_to_their_paths() -> None:
    realms = {
        "IP Camera(C2189)": "/Streaming/Channels/101",
        "Login to 3G02A1BPAZ12345": "/cam/realmonitor?channel=1&subtype=0",
        "AXIS_ACCC8E123456": "/axis-media/media.amp",
        "TP-LINK IP-Camera": "/stream1",
        "BC Streaming Media": "/h264Preview_01_main",
    }
    for realm, path in realms.items():
        fitting = [each.path for each in GENERIC.paths if each.hint is not None and each.hint.search(realm)]
        assert fitting == [path], realm
    # live555 is in cameras of all makers.
    assert not [each for each in GENERIC.paths if each.hint and each.hint.search("LIVE555 Streaming Media")]
