"""Ids, statuses and the events they cause."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from agent_core.base.errors import InvalidParams, NotFound, PluginError
from agent_core.base.events import Event, EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import (
    CameraEvent,
    CameraId,
    CameraStatus,
    DetectedCamera,
    DeviceReporter,
    Fingerprint,
    FrameReader,
    Url,
)
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import REMOVED_KEPT, CameraRegistry, SourceReport
from agent_core.testing.clock import SimulatedClock

FRONT = DetectedCamera("k0", "Front", Fingerprint("usb", "S1", "1-1"), None, number_hint=0)


class Registry:
    """A registry with one source's report and the topics of all events so far."""

    def __init__(self, path: Path) -> None:
        self.events: list[str] = []
        self.bus = EventBus()
        self.ledger = Ledger(path)
        self.ledger.load()
        self.clock = SimulatedClock()
        self.cameras = CameraRegistry(self.ledger, events=self.bus, clock=self.clock)
        self.report = SourceReport(self.cameras, "usb")
        self._subscription = self.bus.subscribe(self._keep)
        self._subscription.__enter__()

    def _keep(self, event: Event) -> bool:
        assert isinstance(event.payload, CameraEvent)
        assert (event.topic, event.camera) == (event.payload.topic, event.payload.camera.id)
        self.events.append(f"{event.topic} {event.payload.camera.id}")
        return False


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "cameras.json")


def test_a_camera_comes_goes_and_comes_back_under_its_id(registry: Registry) -> None:
    registry.report.connected(FRONT)
    registry.report.disconnected("k0", "Unplugged.")
    gone = registry.cameras.get("camera0")
    assert (gone.status, gone.problem) == (CameraStatus.DISCONNECTED, "Unplugged.")
    registry.report.connected(replace(FRONT, key="k7", number_hint=3))
    assert registry.cameras.get("camera0").status is CameraStatus.CONNECTED
    assert registry.events == [
        "camera.connected camera0",
        "camera.disconnected camera0",
        "camera.connected camera0",
    ]


def test_saying_the_same_again_is_no_event(registry: Registry) -> None:
    registry.report.connected(FRONT)
    registry.report.connected(FRONT)
    assert registry.events == ["camera.connected camera0"]


def test_a_change_and_a_failure_are_status_changes(registry: Registry) -> None:
    registry.report.connected(FRONT)
    registry.report.connected(replace(FRONT, fps=30.0))
    registry.report.failed("k0", "No picture for 4 s.")
    failed = registry.cameras.get("camera0")
    assert (failed.status, failed.problem) == (CameraStatus.ERROR, "No picture for 4 s.")
    registry.report.connected(replace(FRONT, fps=30.0))
    works = registry.cameras.get("camera0")
    assert (works.status, works.problem) == (CameraStatus.CONNECTED, "")
    assert registry.events[1:] == ["camera.status_change camera0"] * 3


def test_reports_about_unknown_cameras_change_nothing(registry: Registry) -> None:
    registry.report.disconnected("nobody", "")
    registry.report.failed("nobody", "")
    assert registry.cameras.list() == []


def test_a_camera_that_never_worked_is_listed_as_failed(registry: Registry) -> None:
    registry.report.failed("k0", "Permission denied.", FRONT)
    camera = registry.cameras.get("camera0")
    assert (camera.status, camera.problem) == (CameraStatus.ERROR, "Permission denied.")
    registry.report.failed("k0", "Permission denied.", FRONT)
    registry.report.connected(FRONT)
    assert registry.events == ["camera.status_change camera0"] * 2
    assert registry.ledger.known[0].id == "camera0"


def test_a_moved_camera_says_so_until_it_comes_again(registry: Registry) -> None:
    registry.report.connected(FRONT)
    assert not registry.cameras.get("camera0").moved
    for port, moved in (("1-2", True), ("1-2", False)):
        registry.report.disconnected("k0", "Unplugged.")
        registry.report.connected(replace(FRONT, fingerprint=Fingerprint("usb", "S1", port)))
        camera = registry.cameras.get("camera0")
        assert (camera.moved, camera.ambiguous) == (moved, False)


def test_a_second_camera_with_the_serial_makes_both_ambiguous(registry: Registry) -> None:
    registry.report.connected(FRONT)
    registry.report.connected(replace(FRONT, key="k1", fingerprint=Fingerprint("usb", "S1", "1-2")))
    assert [(each.id, each.ambiguous) for each in registry.cameras.list()] == [
        ("camera0", True),
        ("camera1", True),
    ]
    assert registry.events[-1] == "camera.status_change camera0"


def test_an_id_that_the_operator_changed_is_forgotten(registry: Registry) -> None:
    registry.report.connected(FRONT)
    registry.report.disconnected("k0", "Unplugged.")
    registry.report.connected(replace(FRONT, configured_id=CameraId("camera7")))
    assert [known.id for known in registry.ledger.known] == ["camera7"]


def test_a_failed_source_takes_its_cameras_with_it(registry: Registry) -> None:
    registry.report.connected(FRONT)
    SourceReport(registry.cameras, "network").connected(replace(FRONT, key="n0", number_hint=None))
    registry.cameras.source_failed("usb", "Its source failed.")
    assert [(each.id, each.status.value, each.problem) for each in registry.cameras.list()] == [
        ("camera0", "DISCONNECTED", "Its source failed."),
        ("camera100", "CONNECTED", ""),
    ]


def test_known_cameras_are_listed_before_they_are_seen(registry: Registry, tmp_path: Path) -> None:
    registry.report.connected(FRONT)
    later = CameraRegistry(registry.ledger, events=EventBus(), clock=SimulatedClock())
    later.restore(["usb"])
    assert later.get("camera0").detected == DetectedCamera("", "Front", FRONT.fingerprint, None)
    assert later.get("camera0").since_s == SimulatedClock().monotonic_s()
    assert [(each.id, each.name, each.status.value) for each in later.list()] == [
        ("camera0", "Front", "DISCONNECTED")
    ]
    later.restore(["network"])
    assert len(later.list()) == 1


@pytest.mark.parametrize(
    "name", ["", "0", "camera", "camera-1", "Camera0", "camera00", "camera0\n", "camera٣", "../x"]
)
def test_what_is_not_a_name_is_invalid(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidParams):
        registry.cameras.get(name)


def test_a_camera_that_does_not_exist_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound) as caught:
        registry.cameras.get("camera9")
    assert caught.value.data() == {"resource": "camera", "id": "camera9"}


def test_twins_put_no_camera_with_another_serial_number_or_source_in_doubt(registry: Registry) -> None:
    registry.report.connected(
        replace(FRONT, key="k2", fingerprint=Fingerprint("usb", "S2", "1-9"), number_hint=2)
    )
    network = replace(FRONT, key="n", fingerprint=Fingerprint("network", "S1", "eth"), number_hint=3)
    SourceReport(registry.cameras, "network").connected(network)
    registry.report.connected(FRONT)
    registry.report.connected(
        replace(FRONT, key="k1", fingerprint=Fingerprint("usb", "S1", "1-2"), number_hint=1)
    )
    assert {each.id: each.ambiguous for each in registry.cameras.list()} == {
        "camera0": True,
        "camera1": True,
        "camera2": False,
        "camera3": False,
    }


async def test_the_time_of_a_status_is_when_it_last_became_another(registry: Registry) -> None:
    registry.report.connected(FRONT)
    connected_s = registry.cameras.get("camera0").since_s
    await registry.clock.advance(5)
    registry.report.connected(replace(FRONT, name="Porch"))
    assert registry.cameras.get("camera0").since_s == connected_s
    registry.report.disconnected("k0", "Unplugged.")
    assert registry.cameras.get("camera0").since_s == connected_s + 5


def test_cameras_are_listed_by_number(registry: Registry) -> None:
    for number in (10, 9, 2):
        fingerprint = Fingerprint("usb", f"S{number}", f"1-{number}")
        detected = DetectedCamera(f"k{number}", "Front", fingerprint, None, number_hint=number)
        registry.report.connected(detected)
    assert [each.id for each in registry.cameras.list()] == ["camera2", "camera9", "camera10"]


def test_a_wrong_name_is_explained(registry: Registry) -> None:
    with pytest.raises(InvalidParams) as caught:
        registry.cameras.get("front")
    assert (
        caught.value.data() | {"param": "device", "rule": "camera[0-9]+", "hint": "camera0"}
        == caught.value.data()
    )


def test_a_camera_that_is_gone_offers_nothing(registry: Registry) -> None:
    frames, device = cast("FrameReader", object()), cast("DeviceReporter", object())
    registry.report.connected(
        replace(FRONT, media_input=Url("rtsp://203.0.113.7/s"), frames=frames, device=device)
    )
    assert registry.cameras.get("camera0").frames is frames
    registry.report.disconnected("k0", "Unplugged.")
    assert registry.cameras.get("camera0").detected == FRONT
    assert registry.cameras.get("camera0").frames is None
    assert registry.cameras.get("camera0").detected.device is None


def test_a_camera_has_the_source_that_reports_it(registry: Registry) -> None:
    SourceReport(registry.cameras, "network").connected(FRONT)
    assert registry.cameras.get("camera0").detected.fingerprint == replace(
        FRONT.fingerprint, source="network"
    )


@pytest.mark.parametrize("method", ["disconnected", "failed"])
def test_an_unusable_reason_names_its_source(registry: Registry, method: str) -> None:
    registry.report.connected(FRONT)
    with pytest.raises(PluginError, match="usb"):
        getattr(registry.report, method)("k0", None)


def test_an_unusable_camera_names_its_source(registry: Registry) -> None:
    with pytest.raises(PluginError, match="usb"):
        registry.report.connected(replace(FRONT, fps=cast("float", "fast")))


def test_only_a_configured_id_that_another_camera_has_is_an_error(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.report.connected(replace(FRONT, configured_id=CameraId("camera7")))
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
    second = replace(FRONT, key="k1", fingerprint=Fingerprint("usb", "S2", "1-2"))
    registry.report.connected(replace(second, configured_id=CameraId("camera7")))
    (error,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "camera7" in error.getMessage()
    given = registry.cameras.list()[0].id
    assert error.__dict__["fields"] == {"camera": given}


def test_a_removed_camera_is_listed_no_more_and_keeps_its_id(registry: Registry, tmp_path: Path) -> None:
    registry.report.connected(replace(FRONT, media_input=Url("rtsp://192.0.2.1/")))
    registry.report.removed("k0", "It was removed.")
    gone = registry.cameras.get("camera0")
    assert (gone.removed, gone.status, gone.media_input) == (True, CameraStatus.DISCONNECTED, None)
    assert registry.cameras.list() == []
    assert [each.id for each in registry.cameras.with_removed()] == ["camera0"]
    registry.report.connected(replace(FRONT, key="k9", fingerprint=Fingerprint("usb", "S2"), number_hint=0))
    registry.report.connected(replace(FRONT, key="k1"))
    assert [each.id for each in registry.cameras.list()] == ["camera0", "camera1"]
    assert not registry.cameras.get("camera0").removed
    assert registry.events[:2] == ["camera.connected camera0", "camera.disconnected camera0"]


@pytest.mark.parametrize("how", ["disconnected", "failed"])
def test_a_camera_that_is_gone_can_be_removed(registry: Registry, how: str) -> None:
    registry.report.connected(FRONT)
    getattr(registry.report, how)("k0", "Gone.")
    registry.report.removed("k0", "It was removed.")
    registry.report.removed("k0", "It was removed.")
    registry.report.removed("unknown", "It was removed.")
    assert registry.cameras.list() == []


async def test_a_removed_camera_stays_removed_over_a_restart(registry: Registry, tmp_path: Path) -> None:
    registry.report.connected(FRONT)
    registry.report.removed("k0", "It was removed.")
    with anyio.move_on_after(0.01):
        await registry.ledger.keep_saved(SimulatedClock())
    again = Registry(tmp_path / "cameras.json")
    again.cameras.restore(["usb"])
    assert again.cameras.list() == []
    assert again.cameras.get("camera0").removed
    again.report.connected(FRONT)
    assert [each.id for each in again.cameras.list()] == ["camera0"]


def test_a_failure_with_a_description_takes_it_over(registry: Registry) -> None:
    registry.report.connected(replace(FRONT, media_input=Url("rtsp://192.0.2.1/")))
    registry.report.failed("k0", "It redirects.", replace(FRONT, media_input=None))
    failed = registry.cameras.get("camera0")
    assert (failed.status, failed.media_input) == (CameraStatus.ERROR, None)


def test_the_series_of_a_camera_end_when_it_is_removed_and_not_when_it_is_unplugged(
    registry: Registry,
) -> None:
    metrics = MetricRegistry()
    registry.cameras.add_metrics(metrics)

    def shown() -> dict[str, dict[object, object]]:
        return {each.metric.name: dict(each.series) for each in metrics.collect()}

    registry.report.connected(FRONT)
    assert shown() == {
        "camera_agent_cameras": {("CONNECTED",): 1, ("DISCONNECTED",): 0, ("ERROR",): 0},
        "camera_agent_camera_connected": {("camera0",): 1},
        "camera_agent_camera_uptime_seconds": {("camera0",): 0.0},
    }
    registry.report.disconnected("k0", "Unplugged.")
    assert shown() == {
        "camera_agent_cameras": {("CONNECTED",): 0, ("DISCONNECTED",): 1, ("ERROR",): 0},
        "camera_agent_camera_connected": {("camera0",): 0},
        "camera_agent_camera_uptime_seconds": {},
    }
    registry.report.removed("k0", "It was removed.")
    assert shown() == {
        "camera_agent_cameras": {("CONNECTED",): 0, ("DISCONNECTED",): 0, ("ERROR",): 0},
        "camera_agent_camera_connected": {},
        "camera_agent_camera_uptime_seconds": {},
    }


def test_the_number_of_removed_cameras_is_bounded_without_mixing_files(tmp_path: Path) -> None:
    kept = {CameraId("camera100"), CameraId("camera101")}
    bus, clock = EventBus(), SimulatedClock()
    ledger = Ledger(tmp_path / "cameras.json")
    registry = CameraRegistry(ledger, events=bus, clock=clock, has_files=kept.__contains__)
    report = SourceReport(registry, "network")
    for number in range(REMOVED_KEPT + 50):
        serial = f"S{number}"
        report.connected(DetectedCamera(serial, serial, Fingerprint("network", serial), None))
        report.removed(serial, "It was removed.")
    known = {each.id: each.fingerprint.serial for each in ledger.known}
    assert len(known) <= REMOVED_KEPT + len(kept)
    assert (known[CameraId("camera100")], known[CameraId("camera101")]) == ("S0", "S1")
    assert max(int(each.removeprefix("camera")) for each in known) <= 101 + REMOVED_KEPT + len(kept)
    assert len(registry.with_removed()) == len(known)
