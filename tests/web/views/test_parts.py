"""Parts, pace and places of live views, without a server."""

import gc
from datetime import UTC, datetime

import pytest

from agent_core.base.errors import RateLimited
from agent_core.config import ViewsConfig
from agent_core.snapshots.models import LivePicture
from agent_core.web.views.parts import Pace, PartCache, first_delimiter
from agent_core.web.views.places import Places

AT = datetime(2026, 11, 22, 17, 3, 54, 120_000, tzinfo=UTC)


def picture(data: bytes = b"jpeg") -> LivePicture:
    return LivePicture(data, 64, 48, 5.0, AT)


def test_a_part_has_its_length_its_time_and_the_delimiter_after_it() -> None:
    plain = PartCache(is_chunked=False).of(picture())
    assert plain == (
        b"Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Timestamp: 1795367034.120000\r\n\r\njpeg\r\n"
        + first_delimiter()
    )
    chunked = PartCache(is_chunked=True).of(picture())
    assert chunked == b"%x\r\n%b\r\n" % (len(plain), plain)


def test_the_bytes_are_made_once_per_picture_and_go_with_it() -> None:
    cache, one = PartCache(is_chunked=True), picture()
    assert cache.of(one) is cache.of(one)
    assert cache.of(picture()) is not cache.of(one)
    del one
    gc.collect()
    assert len(cache._parts) == 0


def sent(fps: float | None, times_s: list[float]) -> list[float]:
    pace, found = Pace(fps), []
    for each in times_s:
        if pace.is_due(each):
            pace.note(each)
            found.append(each)
    return found


def test_without_a_rate_all_pictures_are_due() -> None:
    times_s = [number / 30 for number in range(30)]
    assert sent(None, times_s) == times_s


@pytest.mark.parametrize(
    ("fps", "count"), [(30, 300), (20, 200), (15, 150), (10, 100), (7, 70), (1, 10), (0.5, 5)]
)
def test_the_rate_is_kept_on_average(fps: float, count: int) -> None:
    times_s = [number / 30 for number in range(300)]
    assert abs(len(sent(fps, times_s)) - count) <= 1


def test_a_camera_that_is_not_exact_loses_no_picture_at_its_own_rate() -> None:
    times_s = [number / 30 + (0.004 if number % 2 else -0.004) for number in range(300)]
    assert len(sent(30, times_s)) == 300


def test_after_a_pause_there_is_no_burst() -> None:
    times_s = [0.0, *(60 + number / 30 for number in range(30))]
    assert len(sent(10, times_s)) <= 12


def test_a_picture_may_come_a_fifth_of_the_interval_early() -> None:
    assert sent(1, [0.0, 0.79, 0.8]) == [0.0, 0.8]


def test_a_picture_in_time_for_the_next_but_one_begins_a_new_count() -> None:
    # Due at 1 and 2: what comes at 2 delays the next one by a whole interval.
    assert sent(1, [0.0, 2.0, 2.5, 2.8]) == [0.0, 2.0, 2.8]


def test_a_refusal_names_the_limit() -> None:
    found = []
    for limit in ("max_live", "max_live_per_camera", "max_live_per_address"):
        places = Places(ViewsConfig.model_validate({limit: 1}))
        with places.take("camera0", "10.0.0.1"):
            with pytest.raises(RateLimited) as caught, places.take("camera0", "10.0.0.1"):
                raise AssertionError("a place too many")
            assert (caught.value.reason, caught.value.retry_after_ms) == ("too_many_views", 5000)
            found.append(caught.value.details)
    assert found == [
        "Too many live views in all are open; views.max_live is the limit.",
        "Too many live views of camera0 are open; views.max_live_per_camera is the limit.",
        "Too many live views from this address are open; views.max_live_per_address is the limit.",
    ]


def test_places_are_counted_by_camera() -> None:
    places = Places(ViewsConfig())
    with places.take("camera0", "a"), places.take("camera0", "b"), places.take("camera1", "a"):
        assert places.by_camera() == {"camera0": 2, "camera1": 1}
    assert places.by_camera() == {}


def test_places_are_given_back() -> None:
    places = Places(ViewsConfig(max_live=2, max_live_per_camera=1, max_live_per_address=2))
    with places.take("camera0", "10.0.0.1"):
        for camera, where in (("camera0", "max_live_per_camera"),):
            with pytest.raises(RateLimited, match=where), places.take(camera, "10.0.0.2"):
                raise AssertionError("a place too many")
        with places.take("camera1", "10.0.0.1"):
            with pytest.raises(RateLimited, match="in all"), places.take("camera2", "10.0.0.2"):
                raise AssertionError("a place too many")
            assert len(places) == 2
    assert len(places) == 0
    assert not places._cameras
    assert not places._addresses


def test_the_local_socket_has_no_limit_of_addresses_and_other_limits_apply_at_once() -> None:
    places = Places(ViewsConfig(max_live_per_address=1))
    with places.take("camera0", ""), places.take("camera0", ""), places.take("camera0", "10.0.0.1"):
        with pytest.raises(RateLimited, match="this address"), places.take("camera0", "10.0.0.1"):
            raise AssertionError("a place too many")
        places.configure(ViewsConfig(max_live_per_address=2))
        with places.take("camera0", "10.0.0.1"):
            assert len(places) == 4
