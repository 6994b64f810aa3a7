"""Local time zone of the test's process."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("local_time_zone",)


@contextmanager
def local_time_zone(name: str) -> Iterator[None]:
    """Make `name`, as in the variable TZ, the local time zone of this process while the context is open."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
