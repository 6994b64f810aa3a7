import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from embedded_server.recording.record_path import RecordPath

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
PATTERN = "/srv/rec/%path/%Y-%m-%d_%H-%M-%S-%f"


@pytest.fixture(params=["UTC0", "XYZ-2", "ABC5"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another local zone for the time of a test; `time.tzset` is the process's own switch."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    "pattern", [PATTERN, "/srv/%path/%Y/%m/%d/%H%M%S%f", "/srv/%path/%s-%f", f"{PATTERN}%z"]
)
@pytest.mark.parametrize("name", ["cam", "site/cam.1"])
def test_a_name_is_written_and_read(zone: None, pattern: str, name: str) -> None:
    file = RecordPath(pattern, "fmp4", name).file(MOMENT)
    assert f"/{name}/" in str(file)
    assert file.suffix == ".mp4"
    assert RecordPath(pattern, "fmp4", name).read(file) == (name, MOMENT)
    assert RecordPath(pattern, "fmp4", None).read(file) == (name, MOMENT)


def test_the_folder_that_files_share() -> None:
    assert RecordPath(PATTERN, "fmp4", "cam").folder == Path("/srv/rec/cam")
    assert RecordPath(PATTERN, "fmp4", None).folder == Path("/srv/rec")
    assert RecordPath("rec/%path/%s", "mpegts", "cam").folder == Path.cwd() / "rec/cam"


def test_the_zone_in_a_name_is_its_own() -> None:
    file = Path("/srv/cam/2026-03-04_05-06-07-000089+0200.ts")
    found = RecordPath("/srv/%path/%Y-%m-%d_%H-%M-%S-%f%z", "mpegts", "cam").read(file)
    assert found == ("cam", datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=timezone(timedelta(hours=2))))


@pytest.mark.parametrize("name", ["x.mp4", "2026-13-04_05-06-07-000089.mp4", "2026-03-04_05-06-07-000089.ts"])
def test_other_files_are_none(name: str) -> None:
    assert RecordPath(PATTERN, "fmp4", "cam").read(Path("/srv/rec/cam") / name) is None


def test_a_side_file_counts_as_with_mediamtx() -> None:
    file = Path("/srv/rec/cam/2026-03-04_05-06-07-000089.mp4.json")
    assert RecordPath(PATTERN, "fmp4", "cam").read(file) is not None
