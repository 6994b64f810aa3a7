"""Identities of cameras by serial, port and descriptor, and cameras that cannot be told apart."""

import pytest

from agent_core.base.models import CameraId, DetectedCamera, Fingerprint
from agent_core.cameras.identity import Identity, Known, identify


def seen(
    serial: str | None = None,
    port: str | None = None,
    descriptor: str | None = "maker:model",
    *,
    number: int | None = 0,
    configured: str | None = None,
    source: str = "usb",
) -> DetectedCamera:
    fingerprint = Fingerprint(source, serial, port, descriptor)
    configured_id = CameraId(configured) if configured else None
    return DetectedCamera(
        "key", "A camera", fingerprint, None, number_hint=number, configured_id=configured_id
    )


def known(id_: str, serial: str | None = None, port: str | None = None, source: str = "usb") -> Known:
    return Known(CameraId(id_), Fingerprint(source, serial, port, "maker:model"), "A camera")


def test_first_sight_takes_the_device_number() -> None:
    assert identify(seen("S1", number=2), [], []) == Identity(CameraId("camera2"))


def test_a_taken_number_gives_the_next_free_one() -> None:
    assert identify(seen("S2", number=0), [known("camera0", "S1")], []).id == "camera1"


def test_cameras_without_a_number_count_from_100() -> None:
    ledger = [known("camera100", "S1")]
    assert identify(seen("S2", number=None), ledger, []).id == "camera101"


def test_a_configured_id_wins() -> None:
    assert identify(seen("S9", configured="camera7"), [known("camera3", "S9")], []).id == "camera7"


def test_a_configured_id_that_another_camera_has_is_not_shared() -> None:
    assert identify(seen("S9", configured="camera0"), [known("camera0", "S1")], ["camera0"]).id == "camera1"  # type: ignore[list-item]


@pytest.mark.parametrize("port", ["1-1", "2-4"])
def test_a_serial_is_recognised_on_any_port(port: str) -> None:
    identity = identify(seen("S1", port, number=5), [known("camera0", "S1", "1-1")], [])
    assert identity == Identity(CameraId("camera0"), moved=port != "1-1")


def test_twins_with_one_serial_are_told_apart_by_port() -> None:
    ledger = [known("camera0", "0001", "1-1"), known("camera1", "0001", "1-2")]
    assert identify(seen("0001", "1-2"), ledger, []) == Identity(CameraId("camera1"), ambiguous=True)


def test_a_serial_that_a_connected_camera_has_says_nothing() -> None:
    ledger = [known("camera0", "0001", "1-1"), known("camera1", "0001", "1-2")]
    again = identify(seen("0001", "1-1"), ledger, [CameraId("camera1")])
    assert again == Identity(CameraId("camera0"), ambiguous=True)
    third = identify(seen("0001", "1-3", number=2), ledger, [CameraId("camera0"), CameraId("camera1")])
    assert third == Identity(CameraId("camera2"), ambiguous=True)


@pytest.mark.parametrize("others", [(), (known("camera1", None, "1-2"),)])
def test_without_serial_the_port_decides_and_is_not_certain(others: tuple[Known, ...]) -> None:
    """A twin may have been put there meanwhile, one that was never seen before too."""
    ledger = [known("camera0", None, "1-1"), *others]
    assert identify(seen(None, "1-1"), ledger, []) == Identity(CameraId("camera0"), ambiguous=True)


def test_a_first_sight_is_certain_if_all_its_kin_are_there() -> None:
    ledger, there = [known("camera0", None, "1-1")], [CameraId("camera0")]
    assert identify(seen(None, "1-2", number=1), ledger, there) == Identity(CameraId("camera1"))


def test_a_first_sight_beside_a_doubtful_twin_is_doubtful_too() -> None:
    ledger, there = [known("camera0", None, "1-1")], [CameraId("camera0")]
    identity = identify(seen(None, "1-2", number=1), ledger, there, doubtful=there)
    assert identity == Identity(CameraId("camera1"), ambiguous=True)


def test_a_configured_id_settles_it() -> None:
    ledger = [known("camera0", None, "1-1"), known("camera1", None, "1-2")]
    assert identify(seen(None, "1-1", configured="camera0"), ledger, []) == Identity(CameraId("camera0"))


def test_without_serial_on_another_port_it_is_said_to_be_ambiguous() -> None:
    identity = identify(seen(None, "9-9"), [known("camera0", None, "1-1")], [])
    assert identity == Identity(CameraId("camera0"), moved=True, ambiguous=True)


def test_two_absent_twins_are_not_guessed_between() -> None:
    ledger = [known("camera0", None, "1-1"), known("camera1", None, "1-2")]
    assert identify(seen(None, "9-9", number=0), ledger, []) == Identity(CameraId("camera2"), ambiguous=True)


def test_a_connected_camera_is_never_given_away() -> None:
    ledger = [known("camera0", "S1", "1-1")]
    assert identify(seen("S1", "1-2", number=0), ledger, [CameraId("camera0")]).id == "camera1"


def test_sources_do_not_recognise_each_others_cameras() -> None:
    assert identify(seen("S1", number=4), [known("camera0", "S1", source="network")], []).id == "camera4"


def test_a_serial_is_recognised_although_the_camera_describes_itself_anew() -> None:
    identity = identify(
        seen("S1", "1-1", descriptor="maker:model:new firmware"), [known("camera0", "S1", "1-1")]
    )
    assert identity == Identity(CameraId("camera0"))


def test_without_a_serial_another_make_on_the_same_port_is_another_camera() -> None:
    identity = identify(seen(None, "1-1", descriptor="another:maker"), [known("camera0", None, "1-1")])
    assert identity == Identity(CameraId("camera1"))


def test_instead_of_a_taken_number_the_lowest_free_one_is_given() -> None:
    assert identify(seen("S2", number=3), [known("camera3", "S1")], []).id == "camera0"
