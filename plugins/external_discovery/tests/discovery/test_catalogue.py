"""Found streams over time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from external_discovery.address import StreamAddress
from external_discovery.discovery.catalogue import Catalogue
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.results import Sighting
from external_discovery.tracks import Track

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
CAMERA = Sighting(
    StreamAddress("rtsp", "192.0.2.7", 554, "/live"), "Axis 192.0.2.7", StreamKind.GENERIC, server="v1"
)
DRONE = Sighting(StreamAddress("rtsp", "192.0.2.8", 5554, "/subject"), "Skydio 192.0.2.8", StreamKind.SKYDIO)
URL = "rtsp://192.0.2.7/live"


def test_a_stream_keeps_the_time_of_its_first_sighting() -> None:
    known = Catalogue(HOUR)
    known.saw(CAMERA, BEGIN)
    known.saw(replace(CAMERA, server=""), BEGIN + HOUR)
    (stream,) = known.list()
    assert (stream.url, stream.first_seen, stream.last_seen, stream.online) == (
        URL,
        BEGIN,
        BEGIN + HOUR,
        True,
    )
    assert stream.server == "v1"


def test_what_a_scan_did_not_see_is_offline_until_it_comes_back() -> None:
    known = Catalogue(HOUR)
    known.saw(CAMERA, BEGIN)
    known.missed(frozenset((StreamKind.GENERIC,)), set())
    assert [(each.online, each.last_seen) for each in known.list()] == [(False, BEGIN)]
    known.saw(CAMERA, BEGIN + HOUR)
    assert known.list()[0].online


def test_a_scan_that_did_not_search_for_a_kind_says_nothing_about_it() -> None:
    known = Catalogue(HOUR)
    for sighting in (CAMERA, DRONE):
        known.saw(sighting, BEGIN)
    known.missed(frozenset((StreamKind.SKYDIO,)), set())
    assert [each.online for each in known.list()] == [True, False]


def test_offline_streams_are_forgotten_after_a_time_and_online_ones_never() -> None:
    known = Catalogue(HOUR)
    for sighting in (CAMERA, DRONE):
        known.saw(sighting, BEGIN)
    known.missed(frozenset((StreamKind.SKYDIO,)), set())
    known.expire(BEGIN + HOUR)
    assert len(known.list()) == 2
    known.expire(BEGIN + HOUR + timedelta(seconds=1))
    assert [each.url for each in known.list()] == [URL]


def test_the_number_of_streams_is_bounded_and_the_oldest_go() -> None:
    known = Catalogue(HOUR)
    for number in range(1010):
        address = replace(CAMERA.address, port=1 + number)
        known.saw(replace(CAMERA, address=address), BEGIN + timedelta(seconds=number))
    kept = known.list()
    assert len(kept) == 1000
    assert {each.address.port for each in kept} == set(range(11, 1011))


def test_the_name_that_a_device_gives_itself_stays() -> None:
    known = Catalogue(HOUR)
    named = replace(CAMERA, name="Front door", kind=StreamKind.ONVIF, tracks=(Track("video", "H265"),))
    for sighting in (CAMERA, named, CAMERA):
        known.saw(sighting, BEGIN)
    (stream,) = known.list()
    assert (stream.name, stream.kind, stream.tracks) == ("Front door", StreamKind.ONVIF, named.tracks)


def test_secret_parameters_are_hidden_in_the_url_and_kept_for_opening() -> None:
    known = Catalogue(HOUR)
    address = StreamAddress("rtsp", "192.0.2.9", 554, "/user=admin&password=hunter2&channel=1")
    known.saw(replace(CAMERA, address=address), BEGIN)
    (stream,) = known.list()
    assert "hunter2" not in stream.url + repr(stream)
    assert "hunter2" in stream.address.url_at()
