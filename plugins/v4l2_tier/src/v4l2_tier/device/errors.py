"""Explanations of the kernel's error numbers, for operators.

Sources are the V4L2 manual (ioctls REQBUFS, QBUF, STREAMON, S_FMT) and, for USB, the kernel's error-codes document:
EPROTO, EILSEQ, ETIMEDOUT, EPIPE and EOVERFLOW mean failed transfers.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_core.plugin import CaptureFailed
from agent_core.plugin.controls import CONTROL_SILENT
from v4l2_tier.device.holders import Holder, holders_of

__all__ = (
    "OTHER_CODEC",
    "camera_changed",
    "explain",
    "explained",
    "explained_control",
    "no_signal",
    "other_codec",
)

#: Reason of `other_codec`.
OTHER_CODEC = "offer_changed"

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Error numbers, reason, details and suggestion.
_MEANINGS = (
    (
        frozenset({errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.ESHUTDOWN}),
        "camera_gone",
        "The camera is no longer connected.",
        "Check its cable; the agent uses it again as soon as it is back.",
    ),
    (
        frozenset({errno.ENOSPC}),
        "usb_bandwidth",
        "The USB bus has too little bandwidth left for this camera.",
        "Choose MJPG, a smaller size or a lower frame rate, or plug the camera into another port or hub.",
    ),
    (
        frozenset({errno.EACCES, errno.EPERM}),
        "access_denied",
        "The agent has no permission to open the camera.",
        "Add the agent's user to the group `video` and restart the agent.",
    ),
    (
        frozenset({errno.ENOMEM}),
        "out_of_memory",
        "The system has too little memory for the camera's buffers.",
        "Choose a smaller size or fewer `buffers`.",
    ),
    (
        frozenset({errno.EMFILE, errno.ENFILE}),
        "out_of_files",
        "The agent has no file descriptors left for the camera.",
        "Raise the limit (LimitNOFILE in the agent's unit) or connect fewer clients.",
    ),
)

#: Errors of a single control, with the sentence about it; see VIDIOC_G_CTRL and VIDIOC_S_EXT_CTRLS in the V4L2 manual.
#: Older kernels report a control in an automatic mode as EIO, EILSEQ or EPIPE.
_CONTROL_MEANINGS = (
    (
        frozenset({errno.EACCES, errno.EPERM}),
        "The driver refuses it: it is read-only, or an automatic mode controls it now",
    ),
    (frozenset({errno.EBUSY}), "It is locked by another program or by the running stream"),
    (
        frozenset({errno.EINVAL, errno.ERANGE}),
        "The camera does not accept the value, or has the control no more",
    ),
    (frozenset({errno.ENOTTY}), "The camera has the control no more"),
)


def explain(error: OSError, doing: str, *, holders: tuple[Holder, ...] = ()) -> CaptureFailed:
    """Return `error` explained without any path; `doing` names the failed step, such as `starting the stream`."""
    number = error.errno or errno.ENOMEM  # linuxpy raises without a number if no buffer was granted
    name = errno.errorcode.get(number, f"error {number}")
    detail = f"{doing}: {name}"
    if number == errno.EBUSY:
        return _busy(holders, detail)
    for numbers, reason, details, suggestion in _MEANINGS:
        if number in numbers:
            return CaptureFailed(details, reason=reason, suggestion=suggestion, detail=detail)
    return CaptureFailed(
        f"The driver reported an error while {doing} ({name}).",
        reason="device_error",
        suggestion="Check the camera's cable and hub; if the error persists, unplug the camera and plug it in again.",
        detail=detail,
    )


def _busy(holders: tuple[Holder, ...], detail: str) -> CaptureFailed:
    who = ", ".join(sorted({holder.program for holder in holders}))
    return CaptureFailed(
        f"Another program holds the camera: {who}." if who else "Another program holds the camera.",
        reason="device_busy",
        suggestion="Stop that program, or disable this camera in the agent's configuration.",
        detail=detail,
    )


def camera_changed() -> CaptureFailed:
    """Return the error for a node that opens another device than the one that was examined."""
    return CaptureFailed(
        "Another device has replaced this camera at its device node.",
        reason="camera_changed",
        suggestion="Wait a moment, until the agent has detected the connected device.",
    )


def other_codec() -> CaptureFailed:
    """Return the error for a device that changed between JPEGs or raw pictures and coded video since it was examined."""
    return CaptureFailed(
        "The camera offers other picture formats than before.",
        reason=OTHER_CODEC,
        suggestion="Try again: the agent uses the new ones at once.",
    )


def no_signal(why: str) -> CaptureFailed:
    """Return the error for a device that is no camera now, as a loopback device without a writer; `why` tells it."""
    return CaptureFailed(
        f"The device gives no pictures now: {why}.",
        reason="no_signal",
        suggestion="Start the program or connect the source that it takes them from; the agent looks again by itself.",
    )


@contextmanager
def explained(doing: str, node: Path) -> Iterator[None]:
    """Raise an OSError of the block as `CaptureFailed`; if the device is busy, name the programs that hold `node`."""
    try:
        yield
    except OSError as error:
        holders = holders_of(node) if error.errno == errno.EBUSY else ()
        for holder in holders:
            _log.warning("the camera is held by %s (process %d)", holder.program, holder.pid)
        raise explain(error, doing, holders=holders) from error


@contextmanager
def explained_control(doing: str, node: Path) -> Iterator[None]:
    """Raise an OSError of the block, which uses one control, as `CaptureFailed`; `doing` names the control.

    The reason is `camera_gone` if the device is gone, `control_silent` if it did not answer within the driver's limit
    (5 s for USB), else `control_refused`.
    """
    try:
        yield
    except OSError as error:
        gone = explain(error, doing)
        if gone.reason == "camera_gone":
            raise gone from error
        raise _control_error(error, doing, node) from error


def _control_error(error: OSError, doing: str, node: Path) -> CaptureFailed:
    number = error.errno or 0
    name = errno.errorcode.get(number, f"error {number}")
    detail = f"{doing}: {name}"
    if number == errno.ETIMEDOUT:
        return CaptureFailed(
            "The camera did not answer in time.",
            reason=CONTROL_SILENT,
            suggestion="Unplug the camera and plug it in again.",
            detail=detail,
        )
    meaning = next(
        (text for numbers, text in _CONTROL_MEANINGS if number in numbers), "The camera refused it"
    )
    holders = sorted({each.program for each in holders_of(node)}) if number == errno.EBUSY else []
    who = f"; {', '.join(holders)} has the camera open" if holders else ""
    return CaptureFailed(f"{meaning} ({name}){who}.", reason="control_refused", detail=detail)
