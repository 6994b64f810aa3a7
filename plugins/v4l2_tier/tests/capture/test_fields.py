"""Deinterlacing, judged by the true picture and by FFmpeg's filters."""

import io
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from v4l2_tier.capture.encode import encode
from v4l2_tier.capture.fields import progressive
from v4l2_tier.device.raw_formats import RawLayout

WIDTH, HEIGHT = 360, 288


def scene(time: int, speed: int) -> Any:
    """Return a textured background with thin lines, and a textured square that moves `speed` pixels between fields."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    made = 110 + 50 * np.sin(x / 9) * np.cos(y / 13) + 30 * np.sin((x + y) / 3.1)
    made[51, 20:150], made[70, 20:150], made[201, 20:150] = 250, 250, 10
    top, left = 90 + speed * time // 4, 90 + speed * time
    rows, columns = np.mgrid[0:100, 0:100]
    made[top : top + 100, left : left + 100] = 160 + 60 * np.sin(columns / 5) + 30 * np.cos(rows / 4)
    return made.clip(0, 255).astype(np.uint8)


def woven(number: int, speed: int, noise: float = 0) -> Any:
    """Return frame `number` of a 50-field camera: the upper field of one moment, the lower one of the next."""
    upper, lower = scene(2 * number, speed), scene(2 * number + 1, speed)
    made = upper.copy()
    made[1::2] = lower[1::2]
    if noise:
        made = (made + np.random.default_rng(number + 9).normal(0, noise, made.shape)).clip(0, 255)
    return made.astype(np.uint8)


def halved(picture: Any) -> Any:
    """Return the upper field with the mean of its lines between, the simplest method."""
    upper = picture[0::2].astype(int)
    below = np.concatenate((upper[1:], upper[-1:]))
    made = picture.copy()
    made[1::2] = (upper + below) // 2
    return made


def psnr(picture: Any, truth: Any) -> float:
    error = float(((picture.astype(float) - truth) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def by_ffmpeg(frames: list[Any], name: str) -> list[Any]:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("needs FFmpeg")
    size = f"{WIDTH}x{HEIGHT}"
    raw = ("-f", "rawvideo", "-pix_fmt", "gray")
    filters = ("-vf", f"setfield=tff,{name}=mode=send_frame:parity=tff")
    told = subprocess.run(
        [program, "-loglevel", "error", *raw, "-video_size", size, "-i", "-", *filters, *raw, "-"],
        input=b"".join(each.tobytes() for each in frames),
        capture_output=True,
        check=True,
    )
    return list(np.frombuffer(told.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH))


def test_what_does_not_move_is_left_as_it_is() -> None:
    still = scene(0, 0)
    assert np.array_equal(progressive(still), still)


@pytest.mark.parametrize("speed", [2, 6, 15])
def test_what_moves_is_far_nearer_to_the_truth_than_before(speed: int) -> None:
    truth, picture = scene(0, speed), woven(0, speed)
    mended = psnr(progressive(picture), truth)
    assert mended > psnr(picture, truth) + 8
    assert mended > psnr(halved(picture), truth) + 5


@pytest.mark.parametrize("filter_name", ["yadif", "bwdif"])
@pytest.mark.parametrize(("speed", "noise"), [(2, 0), (6, 0), (15, 0), (2, 3), (6, 3), (15, 3)])
def test_one_picture_alone_is_as_good_as_ffmpegs_filters_that_use_three(
    speed: int, noise: float, filter_name: str
) -> None:
    frames = [woven(number, speed, noise) for number in range(-2, 3)]
    truth = scene(0, speed)
    judge = psnr(by_ffmpeg(frames, filter_name)[2], truth)
    assert psnr(progressive(frames[2]), truth) > judge - 1.5


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (3, 4), (4, 1), (5, 3), (7, 8)])
def test_any_size_keeps_its_shape_and_its_upper_field(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = plane.copy()
    made = progressive(plane)
    assert made.shape == shape
    assert np.array_equal(made[0::2], plane[0::2])
    assert np.array_equal(plane, before)


def test_brightness_at_the_ends_of_the_scale_does_not_wrap() -> None:
    plane = np.zeros((8, 4), np.uint8)
    plane[1::2] = 255
    assert progressive(plane).max() == 0
    assert progressive(255 - plane).min() == 255


@pytest.mark.parametrize("code", ["YUYV", "UYVY", "NV12", "YU12", "422P", "GREY", "RGB3"])
def test_each_kind_of_raw_picture_is_encoded_without_combs(code: str) -> None:
    upper, lower = 60, 200
    rows = np.full((64, 64), upper, np.uint8)
    rows[1::2] = lower
    data = {
        "GREY": rows.tobytes(),
        "RGB3": np.repeat(rows, 3, axis=1).tobytes(),
        "YUYV": np.stack((rows, np.full_like(rows, 128)), axis=2).tobytes(),
        "UYVY": np.stack((np.full_like(rows, 128), rows), axis=2).tobytes(),
    }.get(code, rows.tobytes() + bytes([128]) * (64 * 64))
    layout = RawLayout(code, 64, 64, 0, quantization=1, interlaced=True)
    shades = np.asarray(Image.open(io.BytesIO(encode(data, layout, 95))).convert("L"))
    assert int(shades.max()) - int(shades.min()) < 12
    left = np.asarray(
        Image.open(io.BytesIO(encode(data, replace(layout, interlaced=False), 95))).convert("L")
    )
    assert int(left.max()) - int(left.min()) > 100
