from itertools import pairwise

import pytest

from agent_core.plugin.frames.timeline import Timeline

#: Shortest distance of two frames in microseconds, one tick of 90 kHz.
TICK_US = 12


def times_us(captured_s: list[float], fps: float = 10) -> list[int]:
    timeline = Timeline(fps)
    return [timeline.time_us(each) for each in captured_s]


def assert_increasing(times: list[int]) -> None:
    assert all(after - before >= TICK_US for before, after in pairwise(times))


def test_times_that_increase_are_kept_to_the_microsecond() -> None:
    captured_s = [864_000.0, 864_000.000_5, 864_000.1, 864_007.123_456, 864_100.0]
    assert times_us(captured_s) == [round(each * 1e6) for each in captured_s]


def test_equal_times_follow_each_other_closely_and_the_next_one_is_exact() -> None:
    assert times_us([5.0, 5.0, 5.0, 4.999, 5.1]) == [
        *(5_000_000, 5_000_012, 5_000_024, 5_000_036),
        5_100_000,
    ]


def test_after_a_step_back_the_stream_goes_on_in_the_new_pace() -> None:
    """Standing still for as long as the source went back would stop players and recordings."""
    back = [100.0, 100.1, 40.0, 40.1, 40.3]
    assert times_us(back) == [100_000_000, 100_100_000, 100_200_000, 100_300_000, 100_500_000]


def test_after_a_step_forward_the_times_are_exact_again() -> None:
    assert times_us([100.0, 40.0, 40.1, 101.0, 101.1])[-2:] == [101_000_000, 101_100_000]


@pytest.mark.parametrize("lag_s", [0.05, 0.2, 1.0])
def test_a_source_that_often_changes_its_idea_of_time_does_not_run_away(lag_s: float) -> None:
    captured_s = [10 + number / 10 - (lag_s if number % 20 < 10 else 0) for number in range(200)]
    times = times_us(captured_s)
    assert_increasing(times)
    assert max(time / 1e6 - at for time, at in zip(times, captured_s, strict=True)) <= lag_s + 0.2


def test_a_second_step_back_is_no_stop_either() -> None:
    times = times_us([100.0, 90.0, 90.1, 80.0, 80.1, 70.0, 70.1])
    assert [after - before for before, after in pairwise(times)] == [100_000] * 6


def test_a_capture_time_before_the_clock_began_is_no_negative_time() -> None:
    times = times_us([-0.2, -0.1, 0.0, 0.1])
    assert times[0] == 0
    assert_increasing(times)


def test_a_frame_interval_back_is_a_step_and_less_is_not() -> None:
    assert times_us([100.0, 99.9]) == [100_000_000, 100_100_000]
    assert times_us([100.0, 99.901]) == [100_000_000, 100_000_012]
    assert times_us([100.0, 40.0], fps=1) == [100_000_000, 101_000_000]


def test_the_exact_times_count_again_one_tick_after_those_of_the_stream() -> None:
    assert times_us([100.0, 40.0, 100.100_012]) == [100_000_000, 100_100_000, 100_100_012]
