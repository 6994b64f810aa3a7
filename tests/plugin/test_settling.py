"""When a camera's exposure counts as settled."""

import io
import itertools
from collections.abc import Callable

import pytest
from PIL import Image

from agent_core.plugin import SettledBy, Settlement
from agent_core.plugin.frames import Brightness, ExposureSettling, measure
from agent_core.testing.scripted_producer import a_jpeg

BLACK = Brightness(4.0, 2, 20)
WHITE = Brightness(250.0, 240, 255)


def scene(mean: float) -> Brightness:
    return Brightness(mean, max(0, int(mean) - 60), min(255, int(mean) + 60))


def settled_after(
    settling: ExposureSettling,
    look: Callable[[float], Brightness | None],
    *,
    fps: float = 30,
    is_manual: bool = False,
) -> tuple[Settlement, Brightness | None]:
    """Show pictures from a start at 1000 s until the exposure has settled; return how, and the picture then."""
    settling.start(is_manual=is_manual)
    for number in itertools.count():
        seen = look(number / fps)
        settling.note(1000 + number / fps, seen)
        if settling.settlement is not None:
            return settling.settlement, seen
    raise AssertionError


@pytest.mark.parametrize("fps", [5, 15, 30, 120])
def test_a_steady_picture_of_medium_brightness_settles_soon(fps: float) -> None:
    settlement, _ = settled_after(ExposureSettling(), lambda _: scene(110), fps=fps)
    assert settlement.by is SettledBy.BRIGHTNESS
    assert settlement.after_s <= max(0.3 + 1.01 / fps, 2 / fps)


@pytest.mark.parametrize("blank", [BLACK, WHITE])
@pytest.mark.parametrize("blank_s", [0.05, 0.67, 2.5])
def test_blank_pictures_do_not_settle_however_steady(blank: Brightness, blank_s: float) -> None:
    settlement, seen = settled_after(ExposureSettling(), lambda at_s: blank if at_s < blank_s else scene(110))
    assert settlement.by is SettledBy.BRIGHTNESS
    assert seen == scene(110)
    assert settlement.after_s == pytest.approx(blank_s + 0.3, abs=0.07)


@pytest.mark.parametrize("first", [30, 230])
def test_dim_and_overexposed_pictures_are_given_time_to_change(first: float) -> None:
    settlement, seen = settled_after(
        ExposureSettling(), lambda at_s: scene(first if at_s < 1 else 120), fps=15
    )
    assert settlement.by is SettledBy.BRIGHTNESS
    assert seen == scene(120)


@pytest.mark.parametrize("fps", [3, 15])
def test_a_slow_camera_gets_time_for_as_many_pictures(fps: float) -> None:
    _, seen = settled_after(
        ExposureSettling(), lambda at_s: BLACK if round(at_s * fps) < 10 else scene(110), fps=fps
    )
    assert seen == scene(110)


def test_a_slow_ramp_is_awaited() -> None:
    settlement, seen = settled_after(ExposureSettling(), lambda at_s: scene(min(60 + 40 * at_s, 120)), fps=30)
    assert settlement.by is SettledBy.BRIGHTNESS
    assert seen is not None
    assert seen.mean > 115


@pytest.mark.parametrize(
    "look",
    [lambda _: BLACK, lambda at_s: scene(60 + 30 * at_s), lambda _: None],
    ids=["dark room", "changing", "unknown"],
)
@pytest.mark.parametrize(("fps", "limit_s"), [(1, 6), (3, 14 / 3), (30, 3)])
def test_the_wait_ends_at_its_limit(
    look: Callable[[float], Brightness | None], fps: float, limit_s: float
) -> None:
    settlement, _ = settled_after(ExposureSettling(), look, fps=fps)
    assert settlement.by is SettledBy.LIMIT
    assert limit_s - 0.001 <= settlement.after_s <= limit_s + 1 / fps


def test_a_dark_scene_that_is_not_black_settles_before_the_limit() -> None:
    settlement, _ = settled_after(ExposureSettling(), lambda _: Brightness(25.0, 0, 90))
    assert settlement.by is SettledBy.BRIGHTNESS
    assert 1.2 <= settlement.after_s < 1.5


def test_with_manual_exposure_dim_pictures_are_right() -> None:
    automatic, _ = settled_after(ExposureSettling(), lambda _: scene(40))
    manual, _ = settled_after(ExposureSettling(), lambda _: scene(40), is_manual=True)
    assert manual.after_s < automatic.after_s / 3


def test_a_camera_that_kept_its_exposure_settles_with_its_second_picture() -> None:
    settling = ExposureSettling()
    settled_after(settling, lambda _: scene(110))
    settlement, _ = settled_after(settling, lambda _: scene(112))
    assert settlement.by is SettledBy.BRIGHTNESS
    assert settlement.after_s == pytest.approx(1 / 30)
    settlement, seen = settled_after(settling, lambda at_s: scene(30) if at_s < 0.5 else scene(112))
    assert seen == scene(112)
    settlement, seen = settled_after(settling, lambda at_s: BLACK if at_s < 0.5 else scene(112))
    assert seen == scene(112)


def test_a_dark_room_is_no_brightness_to_return_to() -> None:
    settling = ExposureSettling()
    settled_after(settling, lambda _: BLACK)
    settlement, seen = settled_after(settling, lambda at_s: BLACK if at_s < 0.7 else scene(110))
    assert seen == scene(110)
    assert settlement.by is SettledBy.BRIGHTNESS


def test_a_fixed_time_needs_no_brightness() -> None:
    settling = ExposureSettling(1.0)
    assert not settling.needs_brightness
    settlement, _ = settled_after(settling, lambda _: None)
    assert settlement.by is SettledBy.TIME
    assert settlement.after_s == pytest.approx(1.0, abs=0.04)


def test_without_a_wait_all_pictures_count_as_settled() -> None:
    settling = ExposureSettling(0)
    assert settling.is_settled
    assert not settling.needs_brightness
    settling.note(5.0)
    assert settling.settlement is None


def picture(mode: str, **options: object) -> bytes:
    output = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((320, 240))
    gradient.convert(mode).save(output, "JPEG", **options)
    return output.getvalue()


@pytest.mark.parametrize(
    "data", [picture("L"), picture("RGB"), picture("CMYK"), picture("RGB", progressive=True)]
)
def test_the_brightness_of_a_picture_is_that_of_its_pixels(data: bytes) -> None:
    found = measure(data)
    assert found is not None
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.convert("L").tobytes()
    assert found.mean == pytest.approx(sum(pixels) / len(pixels), abs=4)
    assert found.low < 12
    assert found.high > 240
    assert not found.is_blank


@pytest.mark.parametrize(
    ("shade", "is_blank"), [(0, True), (30, True), (90, False), (200, False), (255, True)]
)
def test_blank_is_what_is_black_or_white(shade: int, is_blank: bool) -> None:
    found = measure(a_jpeg(shade=shade))
    assert found is not None
    assert found.is_blank is is_blank
    assert found.mean == pytest.approx(shade, abs=2)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", a_jpeg()[:200], b"GIF89a" + bytes(100)])
def test_what_cannot_be_decoded_has_no_brightness(data: bytes) -> None:
    assert measure(data) is None
