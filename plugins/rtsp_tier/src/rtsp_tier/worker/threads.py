"""Threads of the worker, which PyAV's blocking calls need."""

import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

__all__ = ("Threads",)

#: Most threads; work beyond waits. The worker refuses requests before.
_LIMIT = 256
#: Most reports of exceptions.
_REPORTS = 20


class Threads:
    """Owner of the worker's threads, which are used again when their work is done.

    An exception is reported on stderr by its class and place only, because libav's messages name URLs.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_LIMIT, "reader")
        self._reports_left = _REPORTS

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread."""
        self._pool.submit(partial(self._run, work))

    def close(self) -> None:
        """Accept no further work; what runs goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - reported, whatever it is
            if self._reports_left > 0:
                self._reports_left -= 1
                sys.stderr.write(report(error) + "\n")


def report(error: BaseException) -> str:
    """Return the class and the place of `error`, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"rtsp_tier.worker: {type(error).__name__}{place}"
