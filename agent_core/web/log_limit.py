"""Limit on repeated log messages, so that unauthenticated peers cannot fill the log.

A module of its own, small as it is: the limit is a decision without I/O, tested without a server.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ("RepetitionFilter", "limit_repetitions")

_BURST = 10
_WINDOW_S = 60.0
#: Templates remembered. A message formatted before it is logged is a new template each time.
_MOST = 1000


class RepetitionFilter(logging.Filter):
    """Filter that passes a message ten times per minute; the next one that passes tells how many were dropped.

    Messages are the same if they have the same template and the same type of exception.

    Args:
        clock_s: a monotonic time in seconds.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        super().__init__()
        self._clock_s = clock_s
        #: Start of the window, messages passed in it, messages dropped.
        self._seen: dict[tuple[str, str], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (str(record.msg), type(record.exc_info[1]).__name__ if record.exc_info else "")
        if len(self._seen) > _MOST:
            self._seen.clear()
        now_s = self._clock_s()
        began_s, passed, left_out = self._seen.get(key, (now_s, 0, 0))
        if now_s - began_s >= _WINDOW_S:
            began_s, passed = now_s, 0
        if passed >= _BURST:
            self._seen[key] = (began_s, passed, left_out + 1)
            return False
        self._seen[key] = (began_s, passed + 1, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like this)"
        return True


@contextmanager
def limit_repetitions(names: tuple[str, ...], clock_s: Callable[[], float]) -> Iterator[None]:
    """Apply one `RepetitionFilter` to the loggers `names` while the context is open."""
    limit = RepetitionFilter(clock_s)
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
