"""Raw formats, judged by FFmpeg: it writes them where it can, and shows what they look like."""

import io
import re
import shutil
from collections import Counter
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from v4l2_tier.capture.encode import encode
from v4l2_tier.capture.levels import used_levels, with_levels
from v4l2_tier.capture.mosaic import with_colours
from v4l2_tier.capture.raw_encoder import RawEncoder
from v4l2_tier.capture.samples import values_of
from v4l2_tier.device.raw_formats import RAW_FORMATS, Family, PlaneShape, RawLayout, Storage

WIDTH, HEIGHT, BLOCK = 112, 64, 16
#: FFmpeg's names of V4L2's formats; those that it can write.
WRITTEN = {
    "NV24": "nv24",
    "NV42": "nv42",
    "P010": "p010le",
    "XR24": "bgr0",
    "XB24": "rgb0",
    "BX24": "0rgb",
    "RX24": "0bgr",
    "RGBP": "rgb565le",
    "RGBR": "rgb565be",
    "XR15": "rgb555le",
    "RGBQ": "rgb555be",
    "XR12": "rgb444le",
    "Y10": "gray10le",
    "Y12": "gray12le",
    "Y14": "gray14le",
    "Y16": "gray16le",
    "Y16 -BE": "gray16be",
}
#: Those that it can only read.
MOSAICS = {
    "BA81": "bayer_bggr8",
    "GBRG": "bayer_gbrg8",
    "GRBG": "bayer_grbg8",
    "RGGB": "bayer_rggb8",
    "BYR2": "bayer_bggr16le",
    "GB16": "bayer_gbrg16le",
    "GR16": "bayer_grbg16le",
    "RG16": "bayer_rggb16le",
}
#: Formats that have the bytes of another one, with other letters or in planes of their own.
SAME = {
    "AR24": "XR24",
    "BGR4": "XR24",
    "AB24": "XB24",
    "BA24": "BX24",
    "RGB4": "BX24",
    "RA24": "RX24",
    "AR15": "XR15",
    "RGBO": "XR15",
    "XR15-BE": "RGBQ",
    "AR15-BE": "RGBQ",
    "AR12": "XR12",
    "R444": "XR12",
    "NM12": "NV12",
    "NM21": "NV21",
    "NM16": "NV16",
    "NM61": "NV61",
    "YM12": "YU12",
    "YM21": "YV12",
    "YM16": "422P",
    "VUYA": "VUYX",
    "YUVA": "YUVX",
    "AYUV": "XYUV",
    "YUV4": "XYUV",
    "P012": "P010",
    "Y212": "Y210",
    "Y216": "Y210",
}
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is the judge")
Picture = NDArray[np.uint8]


def blocks(seed: int = 17) -> Picture:
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (HEIGHT // BLOCK, WIDTH // BLOCK, 3), dtype=np.uint8)
    return colours.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)


async def converted(data: bytes, before: str, after: str) -> bytes:
    """Return a frame that FFmpeg has converted. Grey is full range, as sensors have it; YUV is what drivers send by default."""
    spans = (
        "in_range=pc" if "gray" in before else "in_range=tv",
        "out_range=pc" if "gray" in after else "out_range=tv",
    )
    scale = f"scale={':'.join(spans)}:in_color_matrix=bt601:out_color_matrix=bt601:flags=accurate_rnd+full_chroma_int"
    argv = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        before,
        "-s",
        f"{WIDTH}x{HEIGHT}",
        "-i",
        "-",
    ]
    argv += ["-vf", f"{scale},format={after}", "-f", "rawvideo", "-"]
    return (await anyio.run_process(argv, input=data)).stdout


def picture(data: bytes) -> Picture:
    return np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH, 3)


def decoded(jpeg: bytes) -> Picture:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"))


def assert_alike(found: Picture, wanted: Picture, limit: int = 4) -> None:
    middles = (slice(BLOCK // 2, None, BLOCK), slice(BLOCK // 2, None, BLOCK))
    errors = np.abs(found[middles].astype(int) - wanted[middles])
    assert errors.mean() <= limit / 2
    assert np.quantile(errors, 0.9) <= limit


def layout_of(code: str, padding: int = 0, width: int = WIDTH, height: int = HEIGHT) -> RawLayout:
    tight = RawLayout(code, width, height, 0)
    first, *others = (plane.line_bytes for plane in tight.planes)
    return RawLayout(
        code, width, height, first + padding, more_lines=tuple(each + 2 * padding for each in others)
    )


def with_padding(data: bytes, code: str, padding: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return the same frame with longer lines."""
    tight, wide = layout_of(code, 0, width, height), layout_of(code, padding, width, height)
    return b"".join(
        np.pad(lines(data, before), ((0, 0), (0, after.line_bytes - before.line_bytes))).tobytes()
        for before, after in zip(tight.planes, wide.planes, strict=True)
    )


def lines(data: bytes, plane: PlaneShape) -> Picture:
    flat = np.frombuffer(data, np.uint8, plane.size_bytes, plane.offset)
    return flat.reshape(plane.lines, plane.line_bytes)


def test_every_format_is_judged() -> None:
    """Those of the other tests, and those whose judges are in `test_encode` and below."""
    elsewhere = {
        "YUYV",
        "UYVY",
        "YVYU",
        "VYUY",
        "NV12",
        "NV21",
        "YU12",
        "YV12",
        "422P",
        "RGB3",
        "BGR3",
        "GREY",
    }
    packed = {code for code, each in RAW_FORMATS.items() if each.storage is Storage.PACKED}
    of_16_bits = {code for code, each in RAW_FORMATS.items() if each.family is Family.BAYER} - set(MOSAICS)
    yuv = {"NV16", "NV61", "Y210", "Y012", "YUV3", "VUYX", "YUVX", "XYUV", "YM61", "YM24", "YM42"}
    assert set(RAW_FORMATS) == elsewhere | packed | of_16_bits | yuv | {*WRITTEN, *MOSAICS, *SAME}


def test_the_readme_lists_every_format_once() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = readme.split("## Formats and interfaces")[1].split("| class of device")[0].splitlines()
    cells = [row.split("|")[2] for row in rows if row.startswith("|")]
    codes = Counter(code for cell in cells for code in re.findall(r"Y16 -BE|[A-Za-z0-9]{3,4}(?:-BE)?", cell))
    assert {code for code in RAW_FORMATS if codes[code] != 1} == set()


@needs_ffmpeg
@pytest.mark.parametrize("code", WRITTEN)
async def test_a_format_looks_as_ffmpeg_shows_it(code: str) -> None:
    data = await converted(blocks().tobytes(), "rgb24", WRITTEN[code])
    wanted = picture(await converted(data, WRITTEN[code], "rgb24"))
    layout = layout_of(code, 16)
    assert len(data) == layout_of(code).size_bytes
    # FFmpeg fills the bits that a colour lacks with zeros, so that its white is no white.
    limit = {5: 9, 4: 20}.get(RAW_FORMATS[code].order.count("B"), 4)
    assert_alike(decoded(encode(with_padding(data, code, 16) + b"behind", layout, 100)), wanted, limit)


@pytest.mark.parametrize("code", ["RGBP", "RGBR", "XR15", "RGBQ", "XR12"])
def test_few_bits_reach_black_and_white(code: str) -> None:
    layout = layout_of(code)
    assert decoded(encode(bytes(layout.size_bytes), layout, 95)).max() == 0
    assert decoded(encode(b"\xff" * layout.size_bytes, layout, 95)).min() == 255


def mosaic_of(colours: Picture, order: str) -> Picture:
    """Return one colour for each pixel."""
    made = np.empty(colours.shape[:2], np.uint8)
    for place, colour in enumerate(order):
        top, left = divmod(place, 2)
        made[top::2, left::2] = colours[top::2, left::2, "RGB".index(colour)]
    return made


@needs_ffmpeg
@pytest.mark.parametrize("code", MOSAICS)
async def test_a_mosaic_looks_as_ffmpeg_shows_it(code: str) -> None:
    mosaic = mosaic_of(blocks(), RAW_FORMATS[code].order)
    data = (mosaic.astype("<u2") * 257).tobytes() if RAW_FORMATS[code].bits == 16 else mosaic.tobytes()
    wanted = picture(await converted(data, MOSAICS[code], "rgb24"))
    assert_alike(decoded(encode(with_padding(data, code, 32), layout_of(code, 32), 100)), wanted)
    assert_alike(wanted, blocks())


@needs_ffmpeg
@pytest.mark.parametrize("code", ["RGGB", "GRBG"])
async def test_edges_in_a_mosaic_are_as_ffmpegs(code: str) -> None:
    """Slanted edges show an interpolation with a colour at the wrong place."""
    down, right = np.indices((HEIGHT, WIDTH))
    colours = np.stack([(down * 3) % 256, (right * 2) % 256, (down + right) % 256], axis=-1).astype(np.uint8)
    mosaic = mosaic_of(colours, RAW_FORMATS[code].order)
    wanted = picture(await converted(mosaic.tobytes(), MOSAICS[code], "rgb24"))
    found = with_colours(mosaic, RAW_FORMATS[code].order)
    inner = (slice(4, -4), slice(4, -4))
    errors = np.abs(found[inner].astype(int) - wanted[inner])
    assert np.quantile(errors, 0.9) <= 4
    assert (
        np.abs(found[inner].astype(int) - colours[inner]).mean()
        <= np.abs(wanted[inner].astype(int) - colours[inner]).mean() + 1
    )


@pytest.mark.parametrize("code", SAME)
def test_formats_with_the_same_bytes_give_the_same_picture(code: str) -> None:
    data = np.random.default_rng(5).bytes(layout_of(code).size_bytes)
    assert encode(data, layout_of(code), 90) == encode(data, layout_of(SAME[code]), 90)


@pytest.mark.parametrize(("code", "other"), [("NV61", "NV16"), ("NV42", "NV24"), ("NM61", "NM16")])
def test_pairs_of_chroma_in_the_other_order(code: str, other: str) -> None:
    layout = layout_of(code)
    data = bytearray(np.random.default_rng(5).bytes(layout.size_bytes))
    swapped = bytearray(data)
    start = layout.planes[1].offset
    swapped[start::2], swapped[start + 1 :: 2] = data[start + 1 :: 2], data[start::2]
    assert encode(bytes(data), layout, 90) == encode(bytes(swapped), layout_of(other), 90)


@pytest.mark.parametrize(
    ("code", "places"),
    [("YUV3", (0, 1, 2)), ("VUYX", (2, 1, 0)), ("YUVX", (0, 1, 2)), ("XYUV", (1, 2, 3))],
)
def test_packed_formats_with_full_chroma(code: str, places: tuple[int, int, int]) -> None:
    """The same planes as those of NV24, which FFmpeg judges."""
    planes = np.random.default_rng(7).integers(0, 256, (3, HEIGHT, WIDTH), dtype=np.uint8)
    packed = np.full((HEIGHT, WIDTH, len(RAW_FORMATS[code].order)), 99, np.uint8)
    for place, plane in zip(places, planes, strict=True):
        packed[:, :, place] = plane
    pairs = planes[0].tobytes() + planes[1:].transpose(1, 2, 0).tobytes()
    assert encode(packed.tobytes(), layout_of(code), 90) == encode(pairs, layout_of("NV24"), 90)


def test_planes_of_their_own_with_full_chroma_and_in_the_other_order() -> None:
    y, u, v = np.random.default_rng(7).integers(0, 256, (3, HEIGHT, WIDTH), dtype=np.uint8)
    wanted = encode(y.tobytes() + np.stack([u, v], axis=-1).tobytes(), layout_of("NV24"), 90)
    assert encode(b"".join(each.tobytes() for each in (y, u, v)), layout_of("YM24"), 90) == wanted
    assert encode(b"".join(each.tobytes() for each in (y, v, u)), layout_of("YM42"), 90) == wanted
    half = [u[:, ::2], v[:, ::2]]
    wanted = encode(b"".join(each.tobytes() for each in (y, *half)), layout_of("422P"), 90)
    assert encode(y.tobytes() + np.stack(half, axis=-1).tobytes(), layout_of("NV16"), 90) == wanted
    assert encode(b"".join(each.tobytes() for each in (y, *half[::-1])), layout_of("YM61"), 90) == wanted


def test_the_high_bytes_of_packed_deep_yuv_count() -> None:
    data = np.random.default_rng(7).bytes(layout_of("Y210").size_bytes)
    assert encode(data, layout_of("Y210"), 90) == encode(data[1::2], layout_of("YUYV"), 90)


def test_deep_grey_in_the_high_bits() -> None:
    values = np.random.default_rng(7).integers(0, 4096, (HEIGHT, WIDTH), dtype=np.uint16)
    high = (values << 4).astype("<u2").tobytes()
    assert encode(high, layout_of("Y012"), 90) == encode(values.astype("<u2").tobytes(), layout_of("Y12"), 90)


def packed_by_the_manual(values: NDArray[np.uint16], bits: int) -> bytes:
    """Pack samples bit by bit: high bytes of a group, then the other bits from the lowest on, the first sample's first."""
    group, low = {10: 4, 12: 2, 14: 4}[bits], bits - 8
    packed = bytearray()
    for start in range(0, values.size, group):
        samples = [int(each) for each in values.ravel()[start : start + group]]
        packed += bytes(each >> low for each in samples)
        rest = sum((each & (2**low - 1)) << (low * index) for index, each in enumerate(samples))
        packed += rest.to_bytes(low * group // 8, "little")
    return bytes(packed)


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("pRAA", "RG10"),
        ("pgAA", "BA10"),
        ("pBCC", "BG12"),
        ("pGEE", "GB14"),
        ("Y10P", "Y10"),
        ("Y12P", "Y12"),
        ("Y14P", "Y14"),
    ],
)
def test_packed_samples_are_those_of_the_same_format_in_16_bits(code: str, other: str) -> None:
    bits = RAW_FORMATS[code].bits
    values = np.random.default_rng(3).integers(0, 2**bits, (HEIGHT, WIDTH), dtype=np.uint16)
    data = packed_by_the_manual(values, bits)
    assert (RAW_FORMATS[code].order, bits) == (RAW_FORMATS[other].order, RAW_FORMATS[other].bits)
    layout = layout_of(code, 8)
    found = values_of(with_padding(data, code, 8), layout, layout.planes[0])
    assert (found == values).all()
    plain = values.astype("<u2").tobytes()
    assert encode(data, layout_of(code), 90) == encode(plain, layout_of(other), 90)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    code=st.sampled_from(list(RAW_FORMATS)),
    width=st.integers(16, 50),
    height=st.integers(16, 40),
    padding=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_padding_and_odd_sizes_change_no_picture(
    code: str, width: int, height: int, padding: int, seed: int
) -> None:
    tight, wide = layout_of(code, 0, width, height), layout_of(code, 2 * padding, width, height)
    data = np.random.default_rng(seed).bytes(tight.size_bytes)
    jpeg = encode(data, tight, 85)
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.size == (width, height)
    assert encode(with_padding(data, code, 2 * padding, width, height) + b"behind", wide, 85) == jpeg


def thermal(low: int = 7000, high: int = 9000) -> bytes:
    """Return a scene in a hundredth of a kelvin, as a thermal camera sends it, with a dead pixel."""
    scene = np.linspace(low, high, WIDTH * HEIGHT).astype("<u2")
    scene[WIDTH] = 65535
    return scene.tobytes()


def spread(jpeg: bytes) -> tuple[int, int]:
    grey = decoded(jpeg)[:, :, 0]
    return int(np.quantile(grey, 0.01)), int(np.quantile(grey, 0.99))


def test_levels_give_a_thermal_picture_its_contrast() -> None:
    layout = layout_of("Y16")
    low, high = spread(encode(thermal(), layout, 95))
    assert high - low < 12
    for levels in ("auto", (7000, 9000)):
        low, high = spread(encode(thermal(), layout, 95, levels))
        assert (low < 10, high > 245) == (True, True)
    assert decoded(encode(thermal(), layout, 95, (9000, 7000)))[0, 0, 0] > 245


@given(
    values=st.lists(st.integers(0, 65535), min_size=1, max_size=30),
    black=st.integers(0, 65535),
    white=st.integers(0, 65535),
)
def test_levels_are_monotonous_and_reach_both_ends(values: list[int], black: int, white: int) -> None:
    ordered = np.array([sorted(values)], np.uint16)
    found = with_levels(ordered, 16, (black, white))[0].astype(int)
    assert (np.diff(found if black <= white else -found) >= 0).all()
    if black != white:
        assert with_levels(np.array([[black, white]], np.uint16), 16, (black, white)).tolist() == [[0, 255]]
    low, high = used_levels(ordered)
    assert (low, high) == (min(values), max(values))


def test_a_camera_that_uses_few_of_its_values_gets_advice_once(caplog: pytest.LogCaptureFixture) -> None:
    encoder = RawEncoder(85, name="Thermal")
    layout = layout_of("Y16")
    encoder.encode(bytes(layout.size_bytes), layout)  # all the same
    for _ in range(90):
        encoder.encode(thermal(), layout)
    (record,) = caplog.records
    assert 'deep_levels = "auto", or two values such as [700' in record.message
    RawEncoder(85, "auto", "Thermal").encode(thermal(), layout)
    RawEncoder(85, "full", "Sensor").encode(thermal(1000, 60000), layout)
    assert len(caplog.records) == 1
