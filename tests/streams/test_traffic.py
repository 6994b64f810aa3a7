"""Traffic of paths: sums that do not fall, and nothing shown that is not known."""

from datetime import UTC, datetime

from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import Endpoint, RuntimePath
from agent_core.streams.sightings import FORGOTTEN_AFTER_S
from agent_core.streams.traffic import PathTraffic, TrafficMeter, TrafficTotals

CAMERA = CameraId("camera0")


def path(
    received: int = 0,
    sent: int = 0,
    *,
    name: str = CAMERA,
    minute: int = 0,
    readers: int = 0,
    live: bool = True,
) -> RuntimePath:
    return RuntimePath(
        name=name,
        live=live,
        live_since=datetime(2026, 11, 30, 3, minute, tzinfo=UTC) if live else None,
        readers=tuple(Endpoint(type="rtspSession", id=str(number)) for number in range(readers)),
        inbound_bytes=received,
        outbound_bytes=sent,
    )


def meter(*ours: str) -> TrafficMeter:
    return TrafficMeter(viewers=lambda each: len(each.readers), is_ours=set(ours or (CAMERA,)).__contains__)


def of(traffic: TrafficMeter, now_s: float, camera: CameraId = CAMERA) -> PathTraffic:
    return traffic.by_camera([camera], now_s)[camera]


def test_bytes_add_up_over_the_streams_of_a_camera_that_is_plugged_in_again() -> None:
    traffic, seen = meter(), []
    for answer in (
        path(100, 10),
        path(300, 30, readers=2),
        None,  # unplugged: its path is removed
        path(0, 0, live=False),  # plugged in again, not read yet
        path(50, 5, minute=1),
        path(700, 70, minute=1),
        path(800, 80, minute=2),  # another stream, which has passed the last number already
    ):
        traffic.saw(CAMERA, answer, 0.0)
        seen.append((of(traffic, 0.0).received_bytes, of(traffic, 0.0).sent_bytes))
    assert seen == [(100, 10), (300, 30), (300, 30), (300, 30), (350, 35), (1000, 100), (1800, 180)]


def test_a_path_that_is_gone_is_neither_live_nor_read() -> None:
    traffic = meter()
    traffic.saw_all([path(1, readers=3), path(name="other", readers=1)], 0.0)
    assert (of(traffic, 0.0).is_live, of(traffic, 0.0).viewers) == (True, 3)
    assert traffic.totals(0.0) == TrafficTotals(paths=2, live=2, viewers=4)
    traffic.saw_all([path(name="other", live=False)], 1.0)
    assert of(traffic, 1.0) == PathTraffic(received_bytes=1)
    assert traffic.totals(1.0) == TrafficTotals(paths=1, live=0, viewers=0)


def test_while_the_server_is_silent_no_stream_counts_as_live() -> None:
    traffic = meter()
    traffic.saw_all([path(9, 9, readers=3)], 0.0)
    later_s = FORGOTTEN_AFTER_S + 0.1
    assert of(traffic, later_s) == PathTraffic(received_bytes=9, sent_bytes=9)
    assert traffic.totals(later_s) == TrafficTotals(0, 0, 0)
    traffic.saw_all([path(10, 9, readers=1)], later_s)
    assert of(traffic, later_s).viewers == 1


def test_any_number_of_paths_of_other_clients_leaves_nothing_behind() -> None:
    traffic = meter()
    for number in range(1000):
        traffic.saw_all([path(5, name=f"meeting-{number}"), path(name=f"camera{number + 5}")], 0.0)
    assert traffic.totals(0.0).paths == 2
    assert traffic.by_camera([CameraId("camera7"), CameraId("meeting-3")], 0.0) == {
        "camera7": PathTraffic(),
        "meeting-3": PathTraffic(),
    }
