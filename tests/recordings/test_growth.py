"""Growth of a recording, decided from sizes and the time alone."""

import pytest

from agent_core.base.errors import MediaServerRefused
from agent_core.recordings.growth import Growth, Measured
from agent_core.recordings.models import RecordingState
from agent_core.recordings.problems import disk_full, no_media

STARTING, RECORDING, ERROR = RecordingState.STARTING, RecordingState.RECORDING, RecordingState.ERROR


@pytest.fixture
def growth() -> Growth:
    return Growth(started_s=100.0, start_timeout_s=15.0, stall_s=8.0)


def test_it_starts_until_there_is_media(growth: Growth) -> None:
    assert growth.look(101.0, Measured()) is STARTING
    assert growth.look(102.0, Measured(1200, 0.0)) is STARTING  # a header is no picture
    assert growth.look(103.0, Measured(9000, 0.25)) is RECORDING


def test_nothing_in_time_is_an_error_and_media_ends_it(growth: Growth) -> None:
    assert growth.look(114.9, Measured()) is STARTING
    assert growth.look(115.0, Measured()) is ERROR
    assert growth.look(116.0, Measured(9000, 0.25)) is RECORDING


def test_no_growth_is_an_error_until_it_grows_again(growth: Growth) -> None:
    growth.look(101.0, Measured(9000, 0.25))
    assert growth.look(108.9, Measured(9000, 0.25)) is RECORDING
    assert growth.look(109.0, Measured(9000, 0.25)) is ERROR
    assert growth.look(110.0, Measured(18000, 0.5)) is RECORDING
    assert growth.look(117.0, Measured(18000, 0.5)) is RECORDING


def test_a_stream_that_is_down_is_an_error_at_once_and_its_last_bytes_are_no_recovery(growth: Growth) -> None:
    growth.look(101.0, Measured(9000, 0.25))
    assert growth.look(102.0, Measured(18000, 0.5), is_down=True) is RECORDING
    assert growth.look(103.0, Measured(18000, 0.5), is_down=True) is ERROR
    assert growth.look(104.0, Measured(19000, 0.6), is_down=True) is ERROR
    assert growth.look(105.0, Measured(19000, 0.6)) is RECORDING  # live again: it has `stall_s` to grow
    assert growth.look(112.0, Measured(19000, 0.6)) is ERROR


def test_a_stream_that_is_not_up_yet_has_its_time(growth: Growth) -> None:
    assert growth.look(102.0, Measured(), is_down=True) is STARTING
    assert growth.look(115.0, Measured(), is_down=True) is ERROR


def test_a_deleted_segment_is_no_stall(growth: Growth) -> None:
    growth.look(101.0, Measured(90_000, 60.0))
    growth.look(108.0, Measured(9_000, 1.0))
    assert growth.look(115.0, Measured(10_000, 1.5)) is RECORDING
    assert growth.look(122.0, Measured(11_000, 2.0)) is RECORDING


def test_what_is_left_counts_from_the_first_sample(growth: Growth) -> None:
    growth.look(101.0, Measured())
    assert growth.left_s(101.0, 5.0) is None
    growth.look(102.0, Measured(9000, 0.5))
    assert growth.left_s(102.0, 5.0) == pytest.approx(4.5)
    assert growth.left_s(107.0, 5.0) == pytest.approx(-0.5)
    assert growth.left_s(107.0, None) is None


def test_the_reason_is_the_disk_then_the_stream_then_unknown() -> None:
    problem = MediaServerRefused(
        "The stream did not start in time.",
        method="DESCRIBE",
        path="/camera0",
        status=400,
        reason="start_timed_out",
    )
    full, files = disk_full(), disk_full(has_inodes=False)
    stream, unknown = no_media(problem), no_media(None)
    errors = (full, files, stream, unknown)
    reasons = ["disk_full", "disk_full", "start_timed_out", "not_growing"]
    assert [each.reason for each in errors] == reasons
    assert [each.dependency for each in errors] == ["storage", "storage", "stream", "media_server"]
    assert "did not start in time" in stream.details
    assert "inodes" in files.details
    assert all(each.suggestion for each in errors)


def test_the_files_are_looked_at_often_at_first_and_while_the_stream_is_down(growth: Growth) -> None:
    eager_s = growth.pause_s(100.1, None, is_down=False)
    growth.look(100.2, Measured(9000, 0.2))
    steady_s = growth.pause_s(100.2, None, is_down=False)
    down_s = growth.pause_s(100.2, None, is_down=True)
    assert eager_s < down_s < steady_s
    assert growth.pause_s(104.5, 5.0, is_down=False) == pytest.approx(0.5)


def test_a_fault_of_the_disk_is_an_error_at_once_and_growth_ends_it(growth: Growth) -> None:
    growth.look(101.0, Measured(9000, 0.25))
    assert growth.look(101.5, Measured(9000, 0.25), is_lost=True) is ERROR
    assert growth.look(102.0, Measured(9000, 0.25)) is ERROR
    assert growth.look(103.0, Measured(18000, 0.5)) is RECORDING


def test_the_header_of_a_new_file_ends_no_error(growth: Growth) -> None:
    growth.look(101.0, Measured(9000, 0.25))
    assert growth.look(110.0, Measured(9000, 0.25)) is ERROR
    assert growth.look(111.0, Measured(9800, 0.25)) is ERROR
    assert growth.look(112.0, Measured(12_000, 0.5)) is RECORDING


def test_a_resumed_recording_grows_from_the_size_it_had() -> None:
    growth = Growth(started_s=100.0, start_timeout_s=15.0, stall_s=8.0, size_bytes=9000, first_sample_s=60.0)
    assert growth.left_s(101.0, 50.0) == pytest.approx(9.0)
    assert growth.look(101.0, Measured(9000, 0.25)) is STARTING
    assert growth.look(102.0, Measured(9001, 0.26)) is RECORDING
    assert growth.left_s(102.0, 50.0) == pytest.approx(8.0), "the first sample stays the first"


def test_one_byte_with_media_is_growth(growth: Growth) -> None:
    assert growth.look(101.0, Measured(1, 0.1)) is RECORDING


def test_the_eager_looks_end_in_time(growth: Growth) -> None:
    eager_s, later_s = growth.pause_s(102.9, None, is_down=False), growth.pause_s(103.0, None, is_down=False)
    assert eager_s < later_s
