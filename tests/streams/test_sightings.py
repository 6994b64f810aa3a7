"""Since when a stream is live, from answers of the server and the agent's own clock."""

from datetime import UTC, datetime, timedelta

import pytest

from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath
from agent_core.streams.sightings import FORGOTTEN_AFTER_S, Sightings

CAMERA, OTHER = CameraId("camera0"), CameraId("camera1")
START = datetime(2026, 1, 1, tzinfo=UTC)


def path(name: str = "camera0", *, live: bool = True, since: datetime | None = START) -> RuntimePath:
    return RuntimePath.model_validate(
        {"name": name, "ready": live, "readyTime": since.isoformat() if since and live else None}
    )


def test_a_stream_is_live_since_it_was_first_seen() -> None:
    seen = Sightings()
    assert seen.since_s(CAMERA, 0.0) is None
    for now_s in (100.0, 105.0, 110.0):
        seen.saw(CAMERA, path(), now_s)
        assert seen.since_s(CAMERA, now_s) == 100.0
    assert seen.since_s(OTHER, 110.0) is None


def test_another_start_on_the_server_is_another_stream() -> None:
    seen = Sightings()
    seen.saw(CAMERA, path(), 100.0)
    seen.saw(
        CAMERA, path(since=START - timedelta(hours=1)), 105.0
    )  # a start in the past: the wall clock was set back
    assert seen.since_s(CAMERA, 105.0) == 105.0


@pytest.mark.parametrize("answer", [path(live=False), None])
def test_a_stream_that_is_not_live_any_more_is_forgotten(answer: RuntimePath | None) -> None:
    seen = Sightings()
    seen.saw(CAMERA, path(), 100.0)
    seen.saw(CAMERA, answer, 101.0)
    assert seen.since_s(CAMERA, 101.0) is None
    seen.saw(CAMERA, path(), 102.0)
    assert seen.since_s(CAMERA, 102.0) == 102.0


def test_a_reader_that_notices_the_end_makes_it_forgotten() -> None:
    seen = Sightings()
    seen.ended(CAMERA)
    seen.saw(CAMERA, path(), 100.0)
    seen.ended(CAMERA)
    assert seen.since_s(CAMERA, 100.0) is None


def test_a_list_of_all_paths_ends_the_streams_that_it_does_not_have() -> None:
    seen = Sightings()
    seen.saw_all([path(), path("camera1")], 100.0)
    seen.saw_all([path("camera1"), path("camera2", live=False)], 105.0)
    assert [seen.since_s(CameraId(f"camera{n}"), 105.0) for n in range(3)] == [None, 100.0, None]


def test_a_sighting_counts_for_a_while_only_and_the_same_stream_keeps_its_time() -> None:
    seen = Sightings()
    seen.saw(CAMERA, path(), 100.0)
    assert seen.since_s(CAMERA, 100.0 + FORGOTTEN_AFTER_S) == 100.0
    assert seen.since_s(CAMERA, 100.1 + FORGOTTEN_AFTER_S) is None
    seen.saw(CAMERA, path(), 200.0)
    assert seen.since_s(CAMERA, 200.0) == 100.0
