from fractions import Fraction

import pytest

from agent_core.plugin import CaptureFailed
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.modes import ChosenMode, choose
from v4l2_tier.settings import CaptureSettings


def size(width: int, height: int, *rates: float | Fraction) -> FrameSize:
    intervals = tuple(Intervals(1 / Fraction(rate), 1 / Fraction(rate)) for rate in rates)
    return FrameSize(Span(width, width), Span(height, height), intervals)


def camera(**formats: tuple[FrameSize, ...]) -> Capabilities:
    offered = tuple(PixelFormat(code, code, sizes) for code, sizes in formats.items())
    return Capabilities("uvcvideo", "A camera", "usb-1", offered)


def told(mode: ChosenMode) -> tuple[str, int, int, float]:
    return mode.pixel_format, mode.width, mode.height, round(mode.fps, 2)


def test_without_wishes_it_is_motion_jpeg_720p_at_30(webcam: Capabilities) -> None:
    mode = choose(webcam, CaptureSettings())
    assert told(mode) == ("MJPG", 1280, 720, 30.0)
    assert mode.notes == ()
    assert mode.is_jpeg


def test_wishes_that_are_offered_are_met(webcam: Capabilities) -> None:
    wishes = CaptureSettings(pixel_format="YUYV", width=640, height=480, fps=7.5)
    mode = choose(webcam, wishes)
    assert (told(mode), mode.notes) == (("YUYV", 640, 480, 7.5), ())
    assert not mode.is_jpeg
    assert told(choose(webcam, CaptureSettings(width=1920, height=1080))) == ("MJPG", 1920, 1080, 30.0)
    assert told(choose(webcam, CaptureSettings(fps=60))) == ("MJPG", 1280, 720, 60.0)


@pytest.mark.parametrize(
    ("wishes", "expected", "note"),
    [
        (CaptureSettings(width=800, height=600), ("MJPG", 640, 480, 30.0), "800x600 is not offered"),
        (CaptureSettings(width=1800), ("MJPG", 1920, 1080, 30.0), "1800x? is not offered"),
        (CaptureSettings(height=700), ("MJPG", 1280, 720, 30.0), "?x700 is not offered"),
        (CaptureSettings(width=640, height=480, fps=90), ("MJPG", 640, 480, 30.0), "90 frames per second"),
        (
            CaptureSettings(pixel_format="NV12"),
            ("MJPG", 1280, 720, 30.0),
            "NV12 cannot be used (offered: YUYV, H264",
        ),
        (CaptureSettings(pixel_format="VP80"), ("MJPG", 1280, 720, 30.0), "VP80 cannot be used"),
    ],
)
def test_wishes_that_are_not_offered_are_told(
    webcam: Capabilities, wishes: CaptureSettings, expected: tuple[str, int, int, float], note: str
) -> None:
    mode = choose(webcam, wishes)
    assert told(mode) == expected
    (said,) = mode.notes
    assert note in said


def test_a_raw_camera_gives_the_largest_size_that_is_fluent() -> None:
    raw = camera(YUYV=(size(640, 480, 30), size(1280, 720, 10), size(1920, 1080, 5)))
    assert told(choose(raw, CaptureSettings())) == ("YUYV", 640, 480, 30.0)
    # A low configured rate needs no fluent size.
    assert told(choose(raw, CaptureSettings(fps=10))) == ("YUYV", 1280, 720, 10.0)
    slow = camera(YUYV=(size(640, 480, 5), size(1280, 720, 2)))
    assert told(choose(slow, CaptureSettings())) == ("YUYV", 640, 480, 5.0)
    large = camera(GREY=(size(3840, 2160, 30), size(1920, 1080, 30)))
    assert told(choose(large, CaptureSettings())) == ("GREY", 1920, 1080, 30.0)


def test_of_raw_formats_the_one_that_fits_best_is_taken() -> None:
    both = camera(GREY=(size(640, 480, 30),), NV12=(size(640, 480, 30),), BGR3=(size(1280, 720, 30),))
    assert told(choose(both, CaptureSettings())) == ("BGR3", 1280, 720, 30.0)
    assert told(choose(both, CaptureSettings(width=640, height=480))) == ("NV12", 640, 480, 30.0)


@pytest.mark.parametrize("code", ["Y16", "RGGB", "pBAA"])
@pytest.mark.parametrize("other", ["YUYV", "GREY", "RGBP"])
def test_a_sensors_raw_values_are_taken_for_a_wanted_size_or_for_want_of_others(
    code: str, other: str
) -> None:
    thermal = camera(**{code: (size(1280, 720, 30),), other: (size(640, 480, 30),)})
    assert told(choose(thermal, CaptureSettings())) == (other, 640, 480, 30.0)
    assert told(choose(thermal, CaptureSettings(fps=30))) == (other, 640, 480, 30.0)
    assert told(choose(thermal, CaptureSettings(width=1280, height=720))) == (code, 1280, 720, 30.0)
    assert told(choose(thermal, CaptureSettings(pixel_format=code))) == (code, 1280, 720, 30.0)
    assert told(choose(camera(**{code: (size(1280, 720, 30),)}), CaptureSettings()))[0] == code
    alike = camera(**{code: (size(640, 480, 30),), other: (size(640, 480, 30),)})
    assert told(choose(alike, CaptureSettings(width=640, height=480)))[0] == other


def test_ranges_of_sizes_and_rates_are_met_exactly_or_by_the_nearest_step() -> None:
    rates = (Intervals(Fraction(1, 60), Fraction(1, 1)),)
    ranged = camera(YUYV=(FrameSize(Span(32, 1920, 16), Span(32, 1080, 8), rates),))
    assert told(choose(ranged, CaptureSettings())) == ("YUYV", 1280, 720, 30.0)
    mode = choose(ranged, CaptureSettings(width=650, height=482, fps=12.5))
    assert told(mode) == ("YUYV", 656, 480, 12.5)
    assert mode.notes == ("650x482 is not offered; using 656x480",)
    assert told(choose(ranged, CaptureSettings(width=9999, height=9999)))[1:3] == (1920, 1080)
    stepped = (Intervals(Fraction(1, 30), Fraction(10, 30), Fraction(1, 30)),)
    mode = choose(camera(YUYV=(FrameSize(Span(640, 640), Span(480, 480), stepped),)), CaptureSettings(fps=14))
    assert mode.interval == Fraction(2, 30)


@pytest.mark.parametrize("wishes", [{}, {"width": 640}, {"width": 640, "height": 480}])
def test_a_size_of_nothing_is_not_taken(wishes: dict[str, int]) -> None:
    offered = camera(MJPG=(size(0, 0, 30), size(640, 480, 30)))
    assert told(choose(offered, CaptureSettings(**wishes))) == ("MJPG", 640, 480, 30.0)
    with pytest.raises(CaptureFailed, match="no picture format"):
        choose(camera(MJPG=(size(0, 0, 30),)), CaptureSettings(**wishes))


def test_a_driver_without_rates_is_believed_to_have_the_wanted_one() -> None:
    silent = camera(MJPG=(size(640, 480),))
    assert told(choose(silent, CaptureSettings())) == ("MJPG", 640, 480, 30.0)
    assert told(choose(silent, CaptureSettings(fps=12))) == ("MJPG", 640, 480, 12.0)
    odd = camera(MJPG=(FrameSize(Span(640, 640), Span(480, 480), (Intervals(Fraction(0), Fraction(0)),)),))
    assert told(choose(odd, CaptureSettings())) == ("MJPG", 640, 480, 30.0)


def test_rates_that_are_rounded_count_as_what_they_mean() -> None:
    ntsc = camera(MJPG=(size(640, 480, Fraction(30000, 1001), Fraction(30003, 1000)),))
    mode = choose(ntsc, CaptureSettings())
    assert mode.fps == pytest.approx(30, abs=0.05)
    assert choose(ntsc, CaptureSettings(fps=30)).notes == ()
    fast = camera(MJPG=(size(640, 480, 60, 120),))
    assert told(choose(fast, CaptureSettings())) == ("MJPG", 640, 480, 60.0)


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ({"VP80": (size(640, 480, 30),), "Y8I": (size(640, 480),)}, "VP80, Y8I"),
        ({}, "none"),
        ({"MJPG": ()}, "MJPG"),
    ],
)
def test_a_camera_without_a_usable_format_is_refused_with_what_it_offers(
    formats: dict[str, tuple[FrameSize, ...]], said: str
) -> None:
    with pytest.raises(CaptureFailed, match=said) as caught:
        choose(camera(**formats), CaptureSettings())
    assert caught.value.reason == "no_usable_format"
    assert "MJPG" in caught.value.suggestion


#: A camera whose large sizes are raw only, as some have on USB 3.
LARGE_IS_RAW = camera(
    MJPG=(size(640, 480, 30),), YUYV=(size(640, 480, 30, 60), size(1280, 720, 10), size(1920, 1080, 5))
)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"width": 1280, "height": 720}, ("YUYV", 1280, 720, 10.0)),
        ({"width": 1280}, ("YUYV", 1280, 720, 10.0)),
        ({"height": 1080}, ("YUYV", 1920, 1080, 5.0)),
        ({"width": 640, "height": 480}, ("MJPG", 640, 480, 30.0)),
        ({"width": 640, "height": 480, "fps": 60}, ("YUYV", 640, 480, 60.0)),
        ({"width": 640, "height": 480, "fps": 30}, ("MJPG", 640, 480, 30.0)),
        ({"fps": 60}, ("YUYV", 640, 480, 60.0)),
        ({}, ("MJPG", 640, 480, 30.0)),
    ],
)
def test_a_wanted_size_or_rate_beats_a_preferred_format(
    wishes: dict[str, float], expected: tuple[str, int, int, float]
) -> None:
    mode = choose(LARGE_IS_RAW, CaptureSettings.model_validate(wishes))
    assert (told(mode), mode.notes) == (expected, ())


def test_without_wishes_a_larger_raw_size_that_is_fluent_is_taken() -> None:
    small_jpegs = camera(MJPG=(size(320, 240, 30),), YUYV=(size(640, 480, 30), size(1280, 720, 10)))
    assert told(choose(small_jpegs, CaptureSettings())) == ("YUYV", 640, 480, 30.0)


def test_a_configured_format_is_kept_and_told_which_others_have_the_rest() -> None:
    wishes = CaptureSettings(pixel_format="MJPG", width=1280, height=720)
    mode = choose(LARGE_IS_RAW, wishes)
    assert told(mode) == ("MJPG", 640, 480, 30.0)
    assert mode.notes == ("1280x720 is not offered in MJPG but in YUYV; using 640x480",)
    mode = choose(LARGE_IS_RAW, CaptureSettings(pixel_format="MJPG", width=640, height=480, fps=60))
    assert mode.notes == ("60 frames per second are not offered at this size in MJPG but in YUYV; using 30",)


def test_a_size_that_no_format_has_is_the_nearest_of_any_format() -> None:
    mode = choose(LARGE_IS_RAW, CaptureSettings(width=1900, height=1080))
    assert told(mode) == ("YUYV", 1920, 1080, 5.0)
    assert mode.notes == ("1900x1080 is not offered; using 1920x1080",)


def test_a_configured_format_that_cannot_be_used_leaves_the_size_to_all_others() -> None:
    mode = choose(LARGE_IS_RAW, CaptureSettings(pixel_format="NV12", width=1280, height=720))
    assert told(mode)[:3] == ("YUYV", 1280, 720)
    assert len(mode.notes) == 1
