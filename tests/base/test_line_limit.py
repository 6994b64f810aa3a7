"""A program that prints without end adds so many lines per minute and level to the log, and no more."""

import logging

from agent_core.base.line_limit import WINDOW_S, LineLimit


def admitted(limit: LineLimit, count: int, *, level: int = logging.INFO, size_bytes: int = 20) -> int:
    return sum(limit.admits(level, size_bytes) for _ in range(count))


def test_lines_per_window_and_level_are_limited() -> None:
    limit = LineLimit()
    limit.turn(1000.0)
    exceeded = [limit.is_exceeded]
    passed = admitted(limit, 5000)
    assert passed == 200
    exceeded.append(limit.is_exceeded)
    assert admitted(limit, 1, level=logging.ERROR) == 1
    limit.turn(1000.0 + WINDOW_S - 1)
    assert admitted(limit, 10) == 0
    assert limit.take_left_out() == 5000 - passed + 10
    assert limit.take_left_out() == 0
    exceeded.append(limit.is_exceeded)
    limit.turn(1000.0 + WINDOW_S)
    exceeded.append(limit.is_exceeded)
    assert exceeded == [False, True, True, False]
    assert admitted(limit, 5000) == passed


def test_bytes_are_limited_as_well() -> None:
    limit = LineLimit()
    limit.turn(0.0)
    assert admitted(limit, 1000, size_bytes=8192) == 4, "which are exactly 32 KiB"
    assert admitted(limit, 1) == 0


def test_exactly_the_limit_is_no_excess() -> None:
    limit = LineLimit()
    limit.turn(0.0)
    passed = admitted(limit, 5000)
    limit.turn(WINDOW_S)
    limit.take_left_out()
    assert admitted(limit, passed) == passed
    assert not limit.is_exceeded
