"""Declared colorimetry and range, judged by the standards' matrices and by FFmpeg."""

import io
import shutil

import anyio
import numpy as np
import pytest
from PIL import Image

from v4l2_tier.capture.encode import encode
from v4l2_tier.device.raw_formats import Coefficients, RawLayout

#: Kr and Kb of the standards, and the numbers of V4L2_YCBCR_ENC_* that mean them.
SHARES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593), "240": (0.212, 0.087)}
ENCODINGS = {1: "601", 2: "709", 3: "601", 4: "709", 5: "601", 6: "2020", 7: "2020", 8: "240"}
FULL, LIMITED = 1, 2
BARS = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191))
BAR, HEIGHT = 32, 32
WIDTH = BAR * len(BARS)


def coded(rgb: tuple[int, int, int], standard: str, *, limited: bool) -> tuple[int, int, int]:
    """Return Y, Cb and Cr by the standard's own equations."""
    kr, kb = SHARES[standard]
    red, green, blue = (each / 255 for each in rgb)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    u, v = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
    if limited:
        return round(16 + 219 * y), round(128 + 224 * u), round(128 + 224 * v)
    return round(255 * y), min(round(128 + 255 * u), 255), min(round(128 + 255 * v), 255)


def picture(code: str, standard: str, *, limited: bool) -> bytes:
    """Return bars in memory."""
    bars = [coded(rgb, standard, limited=limited) for rgb in BARS]
    if code == "YUYV":
        return b"".join(bytes([y, u, y, v]) * (BAR // 2) for y, u, v in bars) * HEIGHT
    luma = b"".join(bytes([y]) * BAR for y, _, _ in bars) * HEIGHT
    rows = HEIGHT if code == "422P" else HEIGHT // 2
    if code == "NV12":
        return luma + b"".join(bytes([u, v]) * (BAR // 2) for _, u, v in bars) * rows
    chroma = [b"".join(bytes([bar[place]]) * (BAR // 2) for bar in bars) * rows for place in (1, 2)]
    return luma + b"".join(chroma)


def colours(jpeg: bytes) -> list[tuple[int, ...]]:
    with Image.open(io.BytesIO(jpeg)) as image:
        found = image.convert("RGB")
    pixels = [found.getpixel((index * BAR + BAR // 2, HEIGHT // 2)) for index in range(len(BARS))]
    return [tuple(each) for each in pixels if isinstance(each, tuple)]


def largest_error(found: list[tuple[int, ...]], wanted: object = BARS) -> int:
    return int(np.abs(np.asarray(found) - np.asarray(wanted)).max())


@pytest.mark.parametrize("quantization", [FULL, LIMITED])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("code", ["YUYV", "NV12", "YU12", "422P"])
def test_each_declared_encoding_gives_the_bars_colours(code: str, encoding: int, quantization: int) -> None:
    data = picture(code, ENCODINGS[encoding], limited=quantization == LIMITED)
    layout = RawLayout(code, WIDTH, HEIGHT, 0, colorspace=8, encoding=encoding, quantization=quantization)
    assert largest_error(colours(encode(data, layout, 95))) <= 4


@pytest.mark.parametrize(
    ("colorspace", "standard"),
    [(0, "601"), (1, "601"), (2, "240"), (3, "709"), (8, "601"), (10, "2020"), (12, "709")],
)
def test_without_a_declared_encoding_the_colour_space_has_one(colorspace: int, standard: str) -> None:
    data = picture("YUYV", standard, limited=True)
    layout = RawLayout("YUYV", WIDTH, HEIGHT, 0, colorspace=colorspace)
    assert largest_error(colours(encode(data, layout, 95))) <= 4


def test_a_declared_encoding_comes_before_the_colour_space() -> None:
    assert RawLayout("YUYV", 8, 8, 0, colorspace=3, encoding=1).coefficients is Coefficients.BT601
    assert RawLayout("YUYV", 8, 8, 0, colorspace=8, encoding=2).coefficients is Coefficients.BT709


@pytest.mark.parametrize("code", ["RGB3", "BGR3"])
def test_rgb_of_limited_range_is_stretched(code: str) -> None:
    order = 1 if code == "RGB3" else -1
    row = b"".join(bytes(round(16 + each * 219 / 255) for each in rgb[::order]) * BAR for rgb in BARS)
    layout = RawLayout(code, WIDTH, HEIGHT, 0, colorspace=8, quantization=LIMITED)
    assert largest_error(colours(encode(row * HEIGHT, layout, 95))) <= 4


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
@pytest.mark.parametrize("encoding", [1, 2, 6, 8])
def test_grey_stays_grey_and_levels_beyond_the_range_are_cut(level: int, encoding: int) -> None:
    layout = RawLayout("YUYV", 32, 32, 0, encoding=encoding, quantization=LIMITED)
    jpeg = encode(bytes([level, 128]) * 32 * 16 * 2, layout, 95)
    wanted = min(max(round((level - 16) * 255 / 219), 0), 255)
    with Image.open(io.BytesIO(jpeg)) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - wanted).max() <= 2


@pytest.mark.parametrize("code", ["YUYV", "NV12", "YU12", "422P"])
def test_odd_sizes_are_converted(code: str) -> None:
    layout = RawLayout(code, 31, 17, 0, encoding=2)
    with Image.open(io.BytesIO(encode(bytes([128]) * layout.size_bytes, layout, 85))) as image:
        assert image.size == (31, 17)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is the judge")
@pytest.mark.parametrize(
    ("encoding", "matrix"), [(1, "bt601"), (2, "bt709"), (6, "bt2020"), (8, "smpte240m")]
)
@pytest.mark.parametrize(("quantization", "span"), [(FULL, "pc"), (LIMITED, "tv")])
async def test_any_colours_come_out_as_from_ffmpeg(
    encoding: int, matrix: str, quantization: int, span: str
) -> None:
    """Random flat blocks: also values that no red, green and blue within 0 to 255 have."""
    random = np.random.default_rng(17)
    y, u, v = random.integers(16, 236, (3, HEIGHT // 16, WIDTH // 16), dtype=np.uint8)
    lines = np.stack([y, u, y, v], axis=-1).repeat(8, axis=1).repeat(16, axis=0)
    argv = (
        *(
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuyv422",
            "-s",
            f"{WIDTH}x{HEIGHT}",
            "-i",
            "-",
        ),
        *(
            "-vf",
            f"scale=in_color_matrix={matrix}:in_range={span}:flags=accurate_rnd+full_chroma_int,format=rgb24",
        ),
        *("-f", "rawvideo", "-"),
    )
    judged = (await anyio.run_process(argv, input=lines.tobytes())).stdout
    wanted = np.frombuffer(judged, np.uint8).reshape(HEIGHT, WIDTH, 3)[8::16, 8::16].astype(int)
    layout = RawLayout("YUYV", WIDTH, HEIGHT, 0, encoding=encoding, quantization=quantization)
    with Image.open(io.BytesIO(encode(lines.tobytes(), layout, 100))) as image:
        found = np.asarray(image.convert("RGB"))[8::16, 8::16].astype(int)
    errors = np.abs(found - wanted)
    assert errors.mean() <= 2
    assert np.quantile(errors, 0.9) <= 4
