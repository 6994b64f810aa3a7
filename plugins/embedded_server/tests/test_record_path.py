from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent_core.testing.local_time import local_time_zone
from embedded_server.recording.record_path import RecordPath

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
PATTERN = "/srv/rec/%path/%Y-%m-%d_%H-%M-%S-%f"


@pytest.fixture(params=["UTC0", "XYZ-2", "ABC5"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set another local time zone for a test; `time.tzset` applies it to the process."""
    with local_time_zone(request.param):
        yield


@pytest.mark.parametrize(
    "pattern", [PATTERN, "/srv/%path/%Y/%m/%d/%H%M%S%f", "/srv/%path/%s-%f", f"{PATTERN}%z"]
)
@pytest.mark.parametrize("name", ["cam", "site/cam.1"])
def test_a_name_is_formatted_and_parsed(zone: None, pattern: str, name: str) -> None:
    file = RecordPath(pattern, "fmp4", name).file(MOMENT)
    assert f"/{name}/" in str(file)
    if "%f%z" in pattern:
        assert file.name == "2026-03-04_05-06-07-000089Z.mp4"
    assert file.suffix == ".mp4"
    assert RecordPath(pattern, "fmp4", name).read(file) == (name, MOMENT)
    assert RecordPath(pattern, "fmp4", None).read(file) == (name, MOMENT)


def test_the_common_folder() -> None:
    assert RecordPath(PATTERN, "fmp4", "cam").folder == Path("/srv/rec/cam")
    assert RecordPath(PATTERN, "fmp4", None).folder == Path("/srv/rec")
    assert RecordPath("rec/%path/%s", "mpegts", "cam").folder == Path.cwd() / "rec/cam"


def test_the_zone_in_a_name_applies() -> None:
    file = Path("/srv/cam/2026-03-04_05-06-07-000089+0200.ts")
    found = RecordPath("/srv/%path/%Y-%m-%d_%H-%M-%S-%f%z", "mpegts", "cam").read(file)
    assert found == ("cam", datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=timezone(timedelta(hours=2))))


@pytest.mark.parametrize("name", ["x.mp4", "2026-13-04_05-06-07-000089.mp4", "2026-03-04_05-06-07-000089.ts"])
def test_other_files_do_not_match(name: str) -> None:
    assert RecordPath(PATTERN, "fmp4", "cam").read(Path("/srv/rec/cam") / name) is None


def test_a_file_with_an_extra_suffix_matches_as_in_mediamtx() -> None:
    file = Path("/srv/rec/cam/2026-03-04_05-06-07-000089.mp4.json")
    assert RecordPath(PATTERN, "fmp4", "cam").read(file) is not None
