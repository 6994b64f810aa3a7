import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from v4l2_tier.capture.encode import encode
from v4l2_tier.device.raw_formats import RawLayout

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
FULL, LIMITED, COLORSPACE_JPEG = 1, 2, 7
#: Colours of test bars, and black and white.
COLOURS = [(255, 255, 255), (0, 0, 0), (230, 20, 20), (20, 200, 40), (30, 30, 220), (240, 240, 10)]


def bars(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height))
    for index, colour in enumerate(COLOURS):
        left = index * width // len(COLOURS)
        image.paste(colour, (left, 0, width, height))
    return image


def planes(image: Image.Image, *, limited: bool) -> Planes:
    """Return full-resolution Y, Cb and Cr by Pillow's arithmetic (BT.601, full range), `limited` to video range."""
    y, u, v = (np.asarray(band).astype(np.float64) for band in image.convert("YCbCr").split())
    if limited:
        y, u, v = 16 + y * 219 / 255, 128 + (u - 128) * 224 / 255, 128 + (v - 128) * 224 / 255
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))  # type: ignore[return-value]


def padded(plane: NDArray[np.uint8], line_bytes: int) -> NDArray[np.uint8]:
    return np.pad(plane, ((0, 0), (0, line_bytes - plane.shape[1])), constant_values=77)


def packed(code: str, parts: Planes, line_bytes: int) -> bytes:
    y, u, v = parts
    lines = np.zeros((y.shape[0], y.shape[1] * 2), np.uint8)
    lines[:, code.index("Y") :: 2] = y
    lines[:, code.index("U") :: 4] = u[:, ::2]
    lines[:, code.index("V") :: 4] = v[:, ::2]
    return padded(lines, line_bytes).tobytes()


def raw(code: str, image: Image.Image, line_bytes: int, *, limited: bool) -> bytes:
    """Return `image` in memory as the V4L2 manual defines the format."""
    if code in ("RGB3", "BGR3"):
        picture = np.asarray(image)[:, :, :: 1 if code == "RGB3" else -1]
        return padded(picture.reshape(image.height, -1), line_bytes).tobytes()
    parts = y, u, v = planes(image, limited=limited)
    if code == "GREY":
        return padded(y, line_bytes).tobytes()
    if code in ("YUYV", "UYVY", "YVYU", "VYUY"):
        return packed(code, parts, line_bytes)
    rows = 1 if code == "422P" else 2
    small_u, small_v = u[::rows, ::2], v[::rows, ::2]
    if code in ("NV12", "NV21"):
        pair = (small_u, small_v) if code == "NV12" else (small_v, small_u)
        chroma = np.stack(pair, axis=2).reshape(small_u.shape[0], -1)
        return padded(y, line_bytes).tobytes() + padded(chroma, line_bytes).tobytes()
    pair = (small_v, small_u) if code == "YV12" else (small_u, small_v)
    return padded(y, line_bytes).tobytes() + b"".join(
        padded(plane, line_bytes // 2).tobytes() for plane in pair
    )


def assert_looks_like(jpeg: bytes, expected: Image.Image) -> None:
    with Image.open(io.BytesIO(jpeg)) as found:
        assert found.size == expected.size
        colours = found.convert("RGB")
    for index in range(len(COLOURS)):
        at = (index * expected.width // len(COLOURS) + expected.width // 12, expected.height // 2)
        want, got = expected.getpixel(at), colours.getpixel(at)
        assert isinstance(want, tuple)
        assert isinstance(got, tuple)
        assert max(abs(a - b) for a, b in zip(want, got, strict=True)) <= 6, (index, want, got)


@pytest.mark.parametrize("padding", [0, 64])
@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("code", ["YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21", "YU12", "YV12", "422P"])
def test_yuv_frames_keep_their_colours(code: str, limited: bool, padding: int) -> None:
    image = bars(240, 64)
    line_bytes = 240 * (2 if len(set(code)) == 3 else 1) + padding
    layout = RawLayout(code, 240, 64, line_bytes, quantization=LIMITED if limited else FULL)
    data = raw(code, image, line_bytes, limited=limited)
    assert len(data) == layout.size_bytes
    assert_looks_like(encode(data + b"padding", layout, 95), image)


@pytest.mark.parametrize("code", ["RGB3", "BGR3"])
def test_rgb_frames_keep_their_colours(code: str) -> None:
    image = bars(240, 64)
    layout = RawLayout(code, 240, 64, 240 * 3 + 16)
    data = raw(code, image, layout.bytes_per_line, limited=False)
    assert len(data) == layout.size_bytes
    assert_looks_like(encode(data, layout, 95), image)


def test_grey_frames_stay_grey() -> None:
    image = bars(240, 64).convert("L").convert("RGB")
    layout = RawLayout("GREY", 240, 64, 256)
    jpeg = encode(raw("GREY", image, 256, limited=False), layout, 95)
    assert_looks_like(jpeg, image)
    assert Image.open(io.BytesIO(jpeg)).mode == "L"


@pytest.mark.parametrize("code", ["YUYV", "NV12", "YU12"])
def test_odd_sizes_and_missing_line_lengths_do(code: str) -> None:
    layout = RawLayout(code, 31, 17, 0)
    with Image.open(io.BytesIO(encode(bytes([128]) * layout.size_bytes, layout, 85))) as image:
        assert image.size == (31, 17)


@pytest.mark.parametrize(("code", "layer"), [("YUYV", (2, 1)), ("NV12", (2, 2)), ("422P", (2, 1))])
def test_the_sampling_of_the_format_is_kept(code: str, layer: tuple[int, int]) -> None:
    layout = RawLayout(code, 64, 48, 0)
    with Image.open(io.BytesIO(encode(bytes([128]) * layout.size_bytes, layout, 85))) as image:
        assert image.layer[0][1:3] == layer  # type: ignore[attr-defined] # of Pillow's JPEG images


def test_the_range_is_what_the_driver_says_or_the_kernels_default() -> None:
    def is_limited(code: str, *, colorspace: int = 0, quantization: int = 0) -> bool:
        return RawLayout(code, 64, 48, 0, colorspace, quantization=quantization).is_limited_range

    assert is_limited("YUYV")
    assert not is_limited("YUYV", colorspace=COLORSPACE_JPEG)
    assert is_limited("YUYV", colorspace=COLORSPACE_JPEG, quantization=LIMITED)
    assert not is_limited("NV12", quantization=FULL)
    assert is_limited("RGB3", quantization=LIMITED)
    assert not is_limited("RGB3")
    assert not is_limited("GREY")
    assert is_limited("GREY", quantization=LIMITED)
