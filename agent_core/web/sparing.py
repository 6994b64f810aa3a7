"""A log that strangers cannot fill: the same sentence only so often, and then how often it was left out."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ("SparingFilter", "logging_sparingly")

_BURST = 10
_WINDOW_S = 60.0
#: Sentences that are remembered; one that has its values filled in before it is logged is another one each time.
_MOST = 1000


class SparingFilter(logging.Filter):
    """Lets the same sentence pass ten times within a minute; the next one after that says how many were left out.

    The same is what has the same template and the same kind of exception, whatever is filled in.

    Args:
        clock_s: a monotonic time in seconds.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        super().__init__()
        self._clock_s = clock_s
        #: Begin of the window, how many passed in it, how many did not.
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
def logging_sparingly(names: tuple[str, ...], clock_s: Callable[[], float]) -> Iterator[None]:
    """Hold the loggers of these names to `SparingFilter` while the context is open."""
    limit = SparingFilter(clock_s)
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
