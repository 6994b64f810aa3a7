"""Bounds of exposures and of memory, without a stream."""

import random
from typing import Any

import av
import pytest

from rtsp_tier.worker.arrival import ArrivalClock
from rtsp_tier.worker.group import Entry, Group


def test_a_packet_that_waited_is_dated_back_by_its_wait() -> None:
    clock = ArrivalClock()
    for number in range(20):
        clock.note(100 + number / 25, number / 25)
    clock.note(102.0, 0.8)  # the reader did not run for more than a second
    assert clock.earliest_s(102.0, 0.8) == pytest.approx(100.8)


def test_a_burst_of_old_pictures_is_dated_back_as_soon_as_its_end_is_known() -> None:
    clock = ArrivalClock()
    for number in range(50):
        clock.note(100.0, number / 25)
    assert clock.earliest_s(100.0, 0.0) == pytest.approx(100.0 - 49 / 25)
    assert clock.earliest_s(100.0, 49 / 25) == 100.0


RATE = 25


def noted(clock: ArrivalClock, start_s: float, end_s: float, read_s: float | None = None) -> None:
    """Note packets sent from `start_s` to `end_s`, read at once or all at `read_s`, and check the bound of each."""
    for number in range(round(start_s * RATE), round(end_s * RATE)):
        sent_s = number / RATE
        arrival_s = max(sent_s, read_s or sent_s)
        clock.note(arrival_s, sent_s + 5000.0)
        assert clock.earliest_s(arrival_s, sent_s + 5000.0) == pytest.approx(sent_s)


@pytest.mark.parametrize("stall_s", [0.52, 1.92, 2.0, 3.0, 30.0])
@pytest.mark.parametrize("flow_s", [0.12, 1.0, 20.0])
def test_what_waited_in_a_stall_of_any_length_is_dated_back_to_when_it_was_sent(
    stall_s: float, flow_s: float
) -> None:
    """The server or the worker stalls, and TCP keeps what was sent; it is read at the end of the stall."""
    clock = ArrivalClock()
    start_s = 100.0
    noted(clock, start_s, start_s + flow_s)
    for _ in range(3):
        start_s += flow_s
        noted(clock, start_s, start_s + stall_s, read_s=start_s + stall_s)
        start_s += stall_s
        noted(clock, start_s, start_s + flow_s)


def test_a_backlog_that_is_read_slowly_is_dated_back_up_to_its_end() -> None:
    clock = ArrivalClock()
    noted(clock, 100.0, 110.0)
    for number in range(75):  # 3 s of packets, read within 1.5 s
        sent_s, read_s = 110.0 + number / RATE, 113.0 + number / 50
        clock.note(read_s, sent_s + 5000.0)
        assert clock.earliest_s(read_s, sent_s + 5000.0) == pytest.approx(sent_s)


def test_the_time_in_which_a_stream_started_dates_no_later_picture_back() -> None:
    """The first packet's arrival is the time before the stream was opened."""
    clock = ArrivalClock()
    clock.note(94.0, 5000.0)
    noted(clock, 100.0, 110.0)


@pytest.mark.parametrize("pause_s", [0.04, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("jump_s", [-4000.0, -40.0, 40.0, 4000.0])
def test_a_jump_of_the_camera_s_clock_costs_nothing(jump_s: float, pause_s: float) -> None:
    """A camera that sets its clock while it sends, or after a pause shorter than the jump."""
    clock, number = ArrivalClock(), 0
    for number in range(250):
        clock.note(100 + number / RATE, 5000 + number / RATE)
    start_s = 100 + number / RATE + pause_s
    for number in range(250):
        arrival_s = start_s + number / RATE
        clock.note(arrival_s, arrival_s + 4900.0 + jump_s)
        assert clock.earliest_s(arrival_s, arrival_s + 4900.0 + jump_s) == pytest.approx(arrival_s)


def test_a_small_step_back_of_the_camera_s_clock_costs_the_window_and_is_forgotten() -> None:
    clock = ArrivalClock()
    for number in range(250):
        arrival_s = 100 + number / RATE
        stream_s = arrival_s - (1.0 if number >= 100 else 0.0)
        clock.note(arrival_s, stream_s)
        back_s = arrival_s - clock.earliest_s(arrival_s, stream_s)
        assert back_s == pytest.approx(1.0 if 100 <= number < 150 else 0.0)


def test_reordered_pictures_are_no_jump() -> None:
    """Two B-frames per P-frame at 2 pictures per second: stream times step back by a second."""
    clock = ArrivalClock()
    for number in range(60):
        stream_s = (number + (2, -1, -1)[number % 3]) / 2
        sent_s = 100 + number / 2
        arrival_s = max(sent_s, 128.0) if number >= 50 else sent_s  # a stall of 3 s
        clock.note(arrival_s, stream_s)
        assert clock.earliest_s(arrival_s, stream_s) <= sent_s


def test_times_that_jump_and_packets_without_times_count_by_their_arrival() -> None:
    clock = ArrivalClock()
    clock.note(100.0, None)
    assert clock.earliest_s(100.0, None) == 100.0
    for arrival_s, stream_s in ((100.0, 50.0), (100.1, 0.1), (100.2, 90_000.0), (100.3, 90_000.1)):
        clock.note(arrival_s, stream_s)
        assert clock.earliest_s(arrival_s, stream_s) == pytest.approx(arrival_s)


def test_a_camera_whose_clock_is_wrong_costs_at_most_the_drift_of_two_seconds() -> None:
    clock = ArrivalClock()
    for number in range(2000):
        arrival_s, stream_s = 100 + number / 20, number / 25  # it claims 25 pictures per second and sends 20
        clock.note(arrival_s, stream_s)
        assert 0 <= arrival_s - clock.earliest_s(arrival_s, stream_s) <= 2.0 * 0.2 + 0.01


def test_the_bound_is_never_later_than_the_true_arrival_while_one_packet_in_two_seconds_is_on_time() -> None:
    chance = random.Random(12)
    for _ in range(50):
        clock, now_s = ArrivalClock(), 1000.0
        for number in range(300):
            sent_s = 1000.0 + number / 15
            is_on_time = number % 15 == 0
            read_s = max(now_s, sent_s + (0.0 if is_on_time else chance.choice((0.0, 0.02, 0.5, 0.9))))
            now_s = sent_s if is_on_time else read_s
            clock.note(max(now_s, sent_s), number / 15)
            if number >= 15:
                assert clock.earliest_s(now_s, number / 15) <= sent_s + 1e-6


def entry(number: int, size_bytes: int, *, is_key: bool = False) -> Entry:
    packet: Any = av.Packet(b"")
    return Entry(number, packet, is_key, size_bytes, 0.0, None)


def numbers_after(group: Group, number: int | None) -> list[int] | None:
    found = group.after(number)
    return None if found is None else [each.number for each in found]


def test_a_group_is_bounded_and_keeps_its_key_frame() -> None:
    group = Group(1000)
    group.add(entry(0, 300))
    assert numbers_after(group, None) == []
    group.add(entry(1, 500, is_key=True))
    for number in range(2, 50):
        group.add(entry(number, 100))
        assert group.size_bytes <= 1000
    assert (group.key and group.key.number, group.newest and group.newest.number) == (1, 49)
    assert numbers_after(group, None) is None  # a decoder that starts needs what was dropped
    assert numbers_after(group, 47) == [48, 49]  # one that has kept up goes on
    group.add(entry(50, 5000, is_key=True))
    assert numbers_after(group, 47) == [50]
    assert group.size_bytes == 5000


def test_a_group_of_tiny_pictures_is_bounded_by_their_number() -> None:
    group = Group(1 << 30)
    group.add(entry(0, 1, is_key=True))
    for number in range(1, 5000):
        group.add(entry(number, 1))
    assert group.size_bytes <= 3000
    assert group.after(None) is None
