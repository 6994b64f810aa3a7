"""What the kernel's error numbers mean for a camera, in words for the person at the other end.

The meanings are those of the V4L2 manual (ioctls REQBUFS, QBUF, STREAMON, S_FMT) and, for USB, of the kernel's
error-codes document: EPROTO, EILSEQ, ETIMEDOUT, EPIPE and EOVERFLOW are transfers that went wrong.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.holders import Holder, holders_of

__all__ = ("explain", "explained")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Error numbers, then what is said of them: the reason, a sentence, what to do.
_MEANINGS = (
    (
        frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.ESHUTDOWN}),
        "camera_gone",
        "The camera is gone.",
        "Check its cable; it is used again as soon as it is back.",
    ),
    (
        frozenset({errno.ENOSPC}),
        "usb_bandwidth",
        "The USB bus has not enough bandwidth left for this camera.",
        "Choose MJPG, a smaller size or a lower rate, or plug it into another port or hub.",
    ),
    (
        frozenset({errno.EACCES, errno.EPERM}),
        "access_denied",
        "The agent may not open the camera.",
        "Let the agent's user be in the group `video`.",
    ),
    (
        frozenset({errno.ENOMEM}),
        "out_of_memory",
        "There is not enough memory for the camera's buffers.",
        "Choose a smaller size or fewer `buffers`.",
    ),
    (
        frozenset({errno.EMFILE, errno.ENFILE}),
        "out_of_files",
        "The agent has no file descriptors left for the camera.",
        "Allow it more (LimitNOFILE of its unit), or fewer clients.",
    ),
)


def explain(error: OSError, doing: str, *, holders: tuple[Holder, ...] = ()) -> CaptureFailed:
    """`error` in a sentence without any path; `doing` says what failed, such as `starting the stream`."""
    number = error.errno or errno.ENOMEM  # without a number it is linuxpy's own: no buffer was granted
    name = errno.errorcode.get(number, f"error {number}")
    detail = f"{doing}: {name}"
    if number == errno.EBUSY:
        return _busy(holders, detail)
    for numbers, reason, details, suggestion in _MEANINGS:
        if number in numbers:
            return CaptureFailed(details, reason=reason, suggestion=suggestion, detail=detail)
    return CaptureFailed(
        f"The camera failed at {doing} ({name}).",
        reason="device_error",
        suggestion="Check its cable and hub; if it goes on, unplug it and plug it in again.",
        detail=detail,
    )


def _busy(holders: tuple[Holder, ...], detail: str) -> CaptureFailed:
    who = ", ".join(sorted({holder.program for holder in holders}))
    return CaptureFailed(
        f"Another program holds the camera: {who}." if who else "Another program holds the camera.",
        reason="device_busy",
        suggestion="End that program, or let it be the one that streams.",
        detail=detail,
    )


@contextmanager
def explained(doing: str, node: Path) -> Iterator[None]:
    """Raise an OSError of the block as `CaptureFailed`; where the device is busy, look for who holds `node`."""
    try:
        yield
    except OSError as error:
        holders = holders_of(node) if error.errno == errno.EBUSY else ()
        for holder in holders:
            _log.warning("the camera is held by %s (process %d)", holder.program, holder.pid)
        raise explain(error, doing, holders=holders) from error
