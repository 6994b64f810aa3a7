import errno
import os
import pty
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.errors import explain, explained, explained_control
from v4l2_tier.device.holders import Holder, holders_of


@pytest.mark.parametrize(
    ("number", "reason", "said"),
    [
        (errno.ENODEV, "camera_gone", "no longer connected"),
        (errno.ENOENT, "camera_gone", "no longer connected"),
        (errno.EBUSY, "device_busy", "Another program"),
        (errno.ENOSPC, "usb_bandwidth", "bandwidth"),
        (errno.EACCES, "access_denied", "no permission to open"),
        (errno.ENOMEM, "out_of_memory", "memory"),
        (errno.EMFILE, "out_of_files", "descriptors"),
        (errno.EPROTO, "device_error", "starting the stream (EPROTO)"),
        (errno.EIO, "device_error", "EIO"),
        (None, "out_of_memory", "memory"),
        (5000, "device_error", "error 5000"),
    ],
)
def test_an_error_number_becomes_a_sentence_without_a_path(
    number: int | None, reason: str, said: str
) -> None:
    error = OSError(number, "text", "/dev/video0") if number else OSError("Not enough buffer memory")
    problem = explain(error, "starting the stream")
    assert problem.reason == reason
    assert said in problem.details
    assert "starting the stream" in problem.detail
    assert "/dev" not in f"{problem.details}{problem.detail}{problem.suggestion}"
    assert problem.suggestion != CaptureFailed.default_suggestion


def test_who_holds_the_device_is_named() -> None:
    holders = (Holder(12, "v4l2-ctl"), Holder(13, "ffmpeg"), Holder(14, "ffmpeg"))
    problem = explain(OSError(errno.EBUSY, "busy"), "starting", holders=holders)
    assert problem.details == "Another program holds the camera: ffmpeg, v4l2-ctl."


async def test_another_process_that_has_a_device_open_is_found() -> None:
    main, other = pty.openpty()  # a character device that no other process has open
    node = Path(os.ttyname(other))
    try:
        assert holders_of(node) == ()  # ourselves
        async with await anyio.open_process(["sleep", "60"], stdin=other) as process:
            try:
                assert holders_of(node) == (Holder(process.pid, "sleep"),)
                with (
                    pytest.raises(CaptureFailed, match="holds the camera: sleep"),
                    explained("testing", node),
                ):
                    raise OSError(errno.EBUSY, "busy")
            finally:
                process.kill()
        assert holders_of(node) == ()
    finally:
        os.close(main)
        os.close(other)


def test_what_is_no_device_is_held_by_nobody(tmp_path: Path) -> None:
    assert holders_of(tmp_path) == ()
    assert holders_of(tmp_path / "missing") == ()


@pytest.mark.parametrize(
    ("number", "reason", "said"),
    [
        (errno.ENODEV, "camera_gone", "no longer connected"),
        (errno.ETIMEDOUT, "control_silent", "did not answer in time"),
        (errno.EACCES, "control_refused", "read-only, or an automatic mode controls it now (EACCES)"),
        (errno.EBUSY, "control_refused", "locked by another program or by the running stream (EBUSY)"),
        (errno.ERANGE, "control_refused", "does not accept the value"),
        (errno.EINVAL, "control_refused", "or has the control no more (EINVAL)"),
        (errno.EILSEQ, "control_refused", "The camera refused it (EILSEQ)."),
        (errno.EPIPE, "control_refused", "The camera refused it (EPIPE)."),
    ],
)
def test_an_error_of_one_control_says_what_it_means_for_a_control(
    number: int, reason: str, said: str
) -> None:
    with (
        pytest.raises(CaptureFailed) as caught,
        explained_control("setting the control gain", Path("/nowhere")),
    ):
        raise OSError(number, "text", "/dev/video0")
    assert caught.value.reason == reason
    assert said in caught.value.details
    assert "/dev" not in f"{caught.value.details}{caught.value.detail}"
