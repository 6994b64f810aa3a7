"""Explanations of failures. What is printed is from the programs' sources unless it says otherwise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libcamera_source.failures import explain, explain_silence

LOG = "[0:06:29.2] [2112]  INFO Camera camera_manager.cpp:327 libcamera v0.4.0\n"


BUSY = """[0:19:06.4] [2746]  INFO Camera camera.cpp:839 Pipeline handler in use by another process
ERROR: *** failed to acquire camera /base/soc/i2c0mux/i2c@1/ov5647@36 ***"""
REFUSED = """[0:1] [2] ERROR DmaBufAllocator dma_buf_allocator.cpp:119 Could not open any dma-buf provider
ERROR: from element x: Failed to allocate memory"""
TIMED_OUT = """[1:2] [3] ERROR V4L2 v4l2_videodevice.cpp:2007 /dev/video4[16:cap]: Dequeue timer of 1000000.00us has expired!
[1:2] [3] ERROR RPI pipeline_base.cpp:1364 Camera frontend has timed out!"""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        # rpicam-apps with libcamera 0.0, github.com/Gordon999/Pi_LIbCamera_GUI, issue 4
        (BUSY, "device_busy"),
        ("ERROR: from element x: Camera '/base/imx219@10' is already in use.", "device_busy"),
        ("ERROR: *** no cameras available ***", "camera_gone"),
        ("ERROR: *** selected camera is not available ***", "camera_gone"),
        ("ERROR: from element x: Could not find a camera named '/base/imx219@10'.", "camera_gone"),
        # recorded: cam --camera nothere, libcamera 0.4
        ("Camera nothere not found\nFailed to create camera session", "camera_gone"),
        ('WARNING: erroneous pipeline: no element "libcamerasrc"', "program_unsuitable"),
        ("ERROR: *** unrecognised option '--autofokus-mode' ***", "program_unsuitable"),
        (REFUSED, "permission_denied"),
        (REFUSED.replace("Failed to allocate memory", "Camera 'x' is already in use."), "device_busy"),
        (REFUSED.partition("\n")[0] + "\nERROR: Internal data stream error.", "no_usable_format"),
        ("ERROR: *** failed to allocate capture buffers for stream ***", "no_memory"),
        ("ERROR: Internal data stream error.\nstopped, reason not-negotiated (-4)", "no_usable_format"),
        (TIMED_OUT, "camera_stalled"),
        ("", "program_ended"),
        (LOG, "program_ended"),
    ],
)
def test_a_failure_is_told_in_words(said: str, reason: str) -> None:
    error = explain(LOG + said, 1, "gst-launch-1.0")
    assert error.reason == reason
    assert error.details.endswith(".")
    assert error.suggestion
    assert "/dev/" not in error.details + error.suggestion + error.detail


def test_a_program_that_hangs_is_explained_by_what_it_said() -> None:
    """Recorded: GStreamer with libcamera 0.4 waits forever where udmabuf may not be opened, and says only the first line."""
    provider = REFUSED.partition("\n")[0]
    assert explain_silence(LOG + provider, 21, has_begun=False).reason == "permission_denied"
    assert explain_silence(LOG, 21, has_begun=False).details == "The camera delivered no picture for 21 s."
    assert (
        explain_silence(LOG, 20 + 5 / 30, has_begun=False).details
        == "The camera delivered no picture for 20.2 s."
    )
    assert (
        explain_silence(LOG + provider, 4, has_begun=True).details
        == "The camera delivered no picture for 4 s."
    )
    assert "sensor" in explain_silence(LOG + TIMED_OUT, 4, has_begun=True).details


def test_the_end_of_a_program_is_told() -> None:
    assert explain(LOG, 0, "rpicam-vid").details == "rpicam-vid ended by itself."
    assert explain(LOG, None, "rpicam-vid").details == "rpicam-vid closed its output."
    assert explain(LOG, -9, "rpicam-vid").reason == "program_killed"
    assert explain("ERROR: *** bad /dev/video0 thing ***", 255, "rpicam-vid").details == (
        "rpicam-vid ended with status 255: ERROR: *** bad <device> thing ***."
    )


@settings(deadline=None)
@given(st.text(), st.one_of(st.none(), st.integers(-64, 255)))
def test_whatever_is_said_is_explained(said: str, status: int | None) -> None:
    error = explain(said, status, "cam")
    assert error.details
    assert "/dev/" not in error.details
