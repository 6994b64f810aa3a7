"""Capabilities of real cameras."""

from fractions import Fraction

import pytest

from v4l2_tier.device.capabilities import Capabilities, DeviceControl, FrameSize, Intervals, PixelFormat, Span


def discrete(width: int, height: int, *rates: float) -> FrameSize:
    intervals = tuple(Intervals(1 / Fraction(rate), 1 / Fraction(rate)) for rate in rates)
    return FrameSize(Span(width, width), Span(height, height), intervals)


def control(
    number: int, name: str, kind: str, span: tuple[int, int, int], default: int, **more: object
) -> DeviceControl:
    return DeviceControl(number, name, kind, *span, default, default, **more)  # type: ignore[arg-type]


#: What `v4l2-ctl --list-formats-ext -L` prints for a common 1080p webcam, shortened.
WEBCAM_CONTROLS = (
    control(0x00980900, "brightness", "integer", (0, 255, 1), 128),
    control(0x0098090C, "white_balance_automatic", "boolean", (0, 1, 1), 1),
    control(0x00980913, "gain", "integer", (0, 255, 1), 0),
    control(
        0x00980918,
        "power_line_frequency",
        "menu",
        (0, 2, 1),
        2,
        choices=((0, "Disabled"), (1, "50 Hz"), (2, "60 Hz")),
    ),
    control(0x0098091A, "white_balance_temperature", "integer", (2000, 6500, 10), 4000, inactive=True),
    control(
        0x009A0901,
        "auto_exposure",
        "menu",
        (0, 3, 1),
        3,
        choices=((1, "Manual Mode"), (3, "Aperture Priority Mode")),
    ),
    control(0x009A0902, "exposure_time_absolute", "integer", (3, 2047, 1), 250, inactive=True),
    control(0x009A0903, "exposure_dynamic_framerate", "boolean", (0, 1, 1), 0),
    control(0x009A090A, "focus_absolute", "integer", (0, 250, 5), 0, inactive=True),
    control(0x009A090C, "focus_automatic_continuous", "boolean", (0, 1, 1), 1),
    control(0x009A0920, "sensor_temperature", "integer", (0, 100, 1), 0, read_only=True),
)
WEBCAM = Capabilities(
    "uvcvideo",
    "HD Pro Webcam C920",
    "usb-0000:00:14.0-1",
    (
        PixelFormat(
            "YUYV",
            "YUYV 4:2:2",
            (
                discrete(640, 480, 30, 24, 20, 15, 10, 7.5, 5),
                discrete(160, 90, 30, 15),
                discrete(1280, 720, 10, 7.5, 5),
                discrete(1920, 1080, 5),
            ),
        ),
        PixelFormat("H264", "H.264", (discrete(1920, 1080, 30),)),
        PixelFormat(
            "MJPG",
            "Motion-JPEG",
            (
                discrete(640, 480, 30, 24, 20, 15, 10, 7.5, 5),
                discrete(1280, 720, 60, 30, 24, 20, 15, 10, 7.5, 5),
                discrete(1920, 1080, 30, 24, 20, 15, 10, 7.5, 5),
            ),
        ),
    ),
    WEBCAM_CONTROLS,
)


@pytest.fixture
def webcam() -> Capabilities:
    return WEBCAM
