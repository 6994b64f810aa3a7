"""Choice of coded video: only where it is configured, or where there is nothing else."""

from fractions import Fraction

import pytest

from agent_core.plugin import VideoCodec
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.modes import choose
from v4l2_tier.settings import CaptureSettings


def size(width: int, height: int, fps: int = 30) -> FrameSize:
    interval = Fraction(1, fps)
    return FrameSize(Span(width, width), Span(height, height), (Intervals(interval, interval),))


def camera(**formats: tuple[FrameSize, ...]) -> Capabilities:
    offered = tuple(PixelFormat(code, code, sizes) for code, sizes in formats.items())
    return Capabilities("uvcvideo", "A camera", "usb-1", offered)


BOTH = camera(H264=(size(1920, 1080), size(1280, 720)), MJPG=(size(640, 480),), YUYV=(size(320, 240),))


def test_pictures_stay_preferred_and_coded_video_is_taken_where_it_is_configured() -> None:
    assert choose(BOTH, CaptureSettings()).pixel_format == "MJPG"
    mode = choose(BOTH, CaptureSettings(pixel_format="H264"))
    assert (mode.pixel_format, mode.width, mode.height, mode.notes) == ("H264", 1280, 720, ())
    assert (mode.codec, mode.is_coded, mode.is_jpeg) == (VideoCodec.H264, True, False)
    assert choose(BOTH, CaptureSettings()).codec is VideoCodec.MJPEG


@pytest.mark.parametrize(("code", "codec"), [("H264", VideoCodec.H264), ("HEVC", VideoCodec.H265)])
def test_a_camera_with_nothing_else_is_used(code: str, codec: VideoCodec) -> None:
    mode = choose(camera(**{code: (size(1280, 720),)}), CaptureSettings())
    assert (mode.pixel_format, mode.codec, mode.notes) == (code, codec, ())


def test_of_both_codings_the_one_that_more_players_know_is_taken() -> None:
    offered = camera(HEVC=(size(1280, 720),), H264=(size(1280, 720),))
    assert choose(offered, CaptureSettings()).pixel_format == "H264"
    assert choose(offered, CaptureSettings(pixel_format="HEVC")).pixel_format == "HEVC"


def test_a_wanted_size_that_only_coded_video_has_is_told_and_left_to_the_operator() -> None:
    mode = choose(BOTH, CaptureSettings(width=1920, height=1080))
    assert mode.pixel_format == "MJPG"
    assert mode.notes == ("1920x1080 is not offered in MJPG but in H264; using 640x480",)
    mode = choose(BOTH, CaptureSettings(pixel_format="H264", width=640, height=480))
    assert mode.notes == ("640x480 is not offered in H264 but in MJPG; using 1280x720",)


def test_a_configured_coding_that_is_not_offered_leaves_the_pictures() -> None:
    mode = choose(BOTH, CaptureSettings(pixel_format="HEVC"))
    assert mode.pixel_format == "MJPG"
    assert mode.notes == ("the picture format HEVC cannot be used (offered: H264, MJPG, YUYV); using MJPG",)
