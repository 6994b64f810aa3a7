"""Uncompressed picture formats, and the memory layout of their frames, as V4L2 defines them; needs no numpy.

The source of all layouts is "Image Formats" in the kernel's V4L2 documentation, of the codes <linux/videodev2.h>.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

__all__ = ("RAW_FORMATS", "Coefficients", "Family", "PlaneShape", "RawFormat", "RawLayout", "Storage")

#: V4L2_COLORSPACE_JPEG: BT.601, full range.
_COLORSPACE_JPEG = 7
#: V4L2_QUANTIZATION_FULL_RANGE and _LIM_RANGE.
_FULL_RANGE, _LIMITED_RANGE = 1, 2


class Family(Enum):
    """Kinds of formats by the meaning of their samples."""

    PACKED_YUV = auto()  # Y, Cb and Cr in turn
    SEMI_PLANAR = auto()  # a plane of Y and one of pairs of Cb and Cr
    PLANAR = auto()  # a plane of each
    RGB = auto()  # a sample of each colour in turn
    RGB_BITS = auto()  # all colours of a pixel in one number of 16 bits
    GREY = auto()
    BAYER = auto()  # one colour for each pixel, in squares of two by two


class Storage(Enum):
    """Place of a sample's bits in memory."""

    BYTES = auto()
    LOW = auto()  # the low bits of 16, little-endian
    HIGH = auto()  # the high bits of 16, little-endian
    BIG_ENDIAN = auto()  # 16 bits
    PACKED = auto()  # MIPI CSI-2: the high 8 bits of several samples, then their other bits


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Format; `order` are the letters of its samples in memory (for `RGB_BITS` from the highest bits on).

    `bits` is the number of bits of a sample; `across` and `down` are the pixels that share chroma. `separate`: each plane is
    a piece of memory of its own, which only the multi-planar interface has.
    """

    family: Family
    order: str
    bits: int = 8
    storage: Storage = Storage.BYTES
    across: int = 1
    down: int = 1
    separate: bool = False

    @property
    def is_yuv(self) -> bool:
        return self.family in (Family.PACKED_YUV, Family.SEMI_PLANAR, Family.PLANAR)

    @property
    def is_sensors(self) -> bool:
        """True if its pictures are a sensor's raw values, which lack white balance or a choice of black and white."""
        return self.is_deep or self.family is Family.BAYER

    @property
    def is_deep(self) -> bool:
        """True if black and white of its pictures are a choice: sensors' values of more than 8 bits."""
        return self.bits > 8 and self.family in (Family.GREY, Family.BAYER)


def _planes(
    family: Family, down: int, codes: Mapping[str, str], *, separate: bool = False
) -> Iterator[tuple[str, RawFormat]]:
    for code, order in codes.items():
        yield code, RawFormat(family, order, across=2, down=down, separate=separate)


def _deep_bayer() -> Iterator[tuple[str, RawFormat]]:
    """Yield the formats of mosaics by their depth; the order of their codes is BGGR, GBRG, GRBG, RGGB."""
    orders = ("BGGR", "GBRG", "GRBG", "RGGB")
    depths = (
        (8, Storage.BYTES, ("BA81", "GBRG", "GRBG", "RGGB")),
        (10, Storage.LOW, ("BG10", "GB10", "BA10", "RG10")),
        (10, Storage.PACKED, ("pBAA", "pGAA", "pgAA", "pRAA")),
        (12, Storage.LOW, ("BG12", "GB12", "BA12", "RG12")),
        (12, Storage.PACKED, ("pBCC", "pGCC", "pgCC", "pRCC")),
        (14, Storage.LOW, ("BG14", "GB14", "GR14", "RG14")),
        (14, Storage.PACKED, ("pBEE", "pGEE", "pgEE", "pREE")),
        (16, Storage.LOW, ("BYR2", "GB16", "GR16", "RG16")),
    )
    for bits, storage, codes in depths:
        for code, order in zip(codes, orders, strict=True):
            yield code, RawFormat(Family.BAYER, order, bits, storage)


def _grey() -> Iterator[tuple[str, RawFormat]]:
    for code, bits, storage in (
        ("GREY", 8, Storage.BYTES),
        ("Y10", 10, Storage.LOW),
        ("Y10P", 10, Storage.PACKED),
        ("Y12", 12, Storage.LOW),
        ("Y012", 12, Storage.HIGH),
        ("Y12P", 12, Storage.PACKED),
        ("Y14", 14, Storage.LOW),
        ("Y14P", 14, Storage.PACKED),
        ("Y16", 16, Storage.LOW),
        ("Y16 -BE", 16, Storage.BIG_ENDIAN),
    ):
        yield code, RawFormat(Family.GREY, "Y", bits, storage)


def _all_formats() -> Iterator[tuple[str, RawFormat]]:
    """Yield the formats, the cheapest and best first."""
    semi, planar = Family.SEMI_PLANAR, Family.PLANAR
    for code in ("YUYV", "UYVY", "YVYU", "VYUY"):
        yield code, RawFormat(Family.PACKED_YUV, code, across=2)
    yield from _planes(semi, 2, {"NV12": "UV", "NV21": "VU"})
    yield from _planes(planar, 2, {"YU12": "UV", "YV12": "VU"})
    yield from _planes(planar, 1, {"422P": "UV"})
    yield from _planes(semi, 1, {"NV16": "UV", "NV61": "VU"})
    yield from _planes(semi, 2, {"NM12": "UV", "NM21": "VU"}, separate=True)
    yield from _planes(semi, 1, {"NM16": "UV", "NM61": "VU"}, separate=True)
    yield from _planes(planar, 2, {"YM12": "UV", "YM21": "VU"}, separate=True)
    yield from _planes(planar, 1, {"YM16": "UV", "YM61": "VU"}, separate=True)
    for code, order in (("NV24", "UV"), ("NV42", "VU")):
        yield code, RawFormat(semi, order)
    for code, order in (("YM24", "UV"), ("YM42", "VU")):
        yield code, RawFormat(planar, order, separate=True)
    for code, bits in (("P010", 10), ("P012", 12)):
        yield code, RawFormat(semi, "UV", bits, Storage.HIGH, across=2, down=2)
    for code, bits in (("Y210", 10), ("Y212", 12), ("Y216", 16)):
        yield code, RawFormat(Family.PACKED_YUV, "YUYV", bits, Storage.HIGH, across=2)
    for code, order in (("YUV3", "YUV"), ("VUYX", "VUYX"), ("VUYA", "VUYX"), ("YUVX", "YUVX")):
        yield code, RawFormat(Family.PACKED_YUV, order)
    for code, order in (("YUVA", "YUVX"), ("XYUV", "XYUV"), ("AYUV", "XYUV"), ("YUV4", "XYUV")):
        yield code, RawFormat(Family.PACKED_YUV, order)
    yield from _rgb()
    yield from _deep_bayer()
    yield from _grey()


def _rgb() -> Iterator[tuple[str, RawFormat]]:
    orders = {
        "RGB": "RGB3",
        "BGR": "BGR3",
        "BGRX": "XR24 AR24 BGR4",
        "RGBX": "XB24 AB24",
        "XRGB": "BX24 BA24 RGB4",
        "XBGR": "RX24 RA24",
    }
    for order, codes in orders.items():
        for code in codes.split():
            yield code, RawFormat(Family.RGB, order)
    bits = {
        "RRRRRGGGGGGBBBBB": "RGBP RGBR",
        "XRRRRRGGGGGBBBBB": "RGBO XR15 AR15 RGBQ XR15-BE AR15-BE",
        "XXXXRRRRGGGGBBBB": "R444 XR12 AR12",
    }
    for order, codes in bits.items():
        for code in codes.split():
            is_big = code in ("RGBR", "RGBQ") or code.endswith("-BE")
            storage = Storage.BIG_ENDIAN if is_big else Storage.LOW
            yield code, RawFormat(Family.RGB_BITS, order, 16, storage)


#: Formats that `v4l2_tier.capture.encode` encodes to JPEG by their codes, the cheapest and best first.
RAW_FORMATS: Mapping[str, RawFormat] = MappingProxyType(dict(_all_formats()))


class Coefficients(Enum):
    """Standards of the shares of red, green and blue in luma."""

    BT601 = auto()
    BT709 = auto()
    BT2020 = auto()
    SMPTE240M = auto()


#: V4L2_YCBCR_ENC_*; those that are left out (601, XV601, SYCC) have the shares of BT.601. Constant luminance is taken
#: like the usual BT.2020.
_ENCODINGS = {
    2: Coefficients.BT709,
    4: Coefficients.BT709,
    6: Coefficients.BT2020,
    7: Coefficients.BT2020,
    8: Coefficients.SMPTE240M,
}
#: V4L2_COLORSPACE_* without an encoding of their own: the kernel's V4L2_MAP_YCBCR_ENC_DEFAULT.
_COLORSPACES = {
    2: Coefficients.SMPTE240M,
    3: Coefficients.BT709,
    10: Coefficients.BT2020,
    12: Coefficients.BT709,
}


@dataclass(frozen=True, slots=True)
class PlaneShape:
    """Place of a plane in a frame: its offset and the length of its lines in bytes, its lines, and the samples of each."""

    offset: int
    line_bytes: int
    lines: int
    samples: int

    @property
    def size_bytes(self) -> int:
        return self.line_bytes * self.lines


@dataclass(frozen=True, slots=True)
class RawLayout:
    """Layout of a frame; `bytes_per_line` includes padding and belongs to the first plane.

    `more_lines` are the lengths of lines of the other planes, of formats with separate planes: their frames are copied
    one plane after the other, without what is behind each. `interlaced` is True if the lines of two
    fields alternate. `colorspace`, `encoding` and `quantization` are the values of `v4l2_pix_format`, 0 for the default.
    """

    code: str
    width: int
    height: int
    bytes_per_line: int
    colorspace: int = 0
    encoding: int = 0
    quantization: int = 0
    interlaced: bool = False
    more_lines: tuple[int, ...] = ()

    @property
    def format(self) -> RawFormat:
        return RAW_FORMATS[self.code]

    @property
    def planes(self) -> tuple[PlaneShape, ...]:
        """Planes in the order of their memory."""
        planes: list[PlaneShape] = []
        offset = 0
        for number, samples in enumerate(self._samples()):
            lines = self.height if number == 0 else _shared(self.height, self.format.down)
            planes.append(PlaneShape(offset, self._line_bytes(number, samples), lines, samples))
            offset += planes[-1].size_bytes
        return tuple(planes)

    def _samples(self) -> tuple[int, ...]:
        """Return the number of samples in a line of each plane."""
        pairs = _shared(self.width, self.format.across)
        match self.format.family:
            case Family.SEMI_PLANAR:
                return self.width, 2 * pairs
            case Family.PLANAR:
                return self.width, pairs, pairs
            case Family.PACKED_YUV | Family.RGB:
                return (pairs * len(self.format.order),)
        return (self.width,)

    def _line_bytes(self, number: int, samples: int) -> int:
        """Return the length of a plane's line, at least as long as its samples need: some drivers leave it empty."""
        needed = _stored_bytes(samples, self.format)
        if number == 0:
            if self.format.family is Family.SEMI_PLANAR and self.format.across > 1:
                needed = max(needed, _stored_bytes(self._samples()[1], self.format))
            return max(self.bytes_per_line, needed)
        if self.format.separate:
            return max(self.more_lines[number - 1] if number <= len(self.more_lines) else 0, needed)
        first = self._line_bytes(0, self.width)
        each = _shared(first, self.format.across)
        return 2 * each if self.format.family is Family.SEMI_PLANAR else each

    @property
    def size_bytes(self) -> int:
        """Length of a frame without padding behind its last plane."""
        last = self.planes[-1]
        return last.offset + last.size_bytes

    @property
    def is_limited_range(self) -> bool:
        """True for video range (black 16, white 235), False for JPEG's full range (0 to 255).

        The default follows the kernel's V4L2_MAP_QUANTIZATION_DEFAULT, except for grey: monochrome cameras send their
        sensor's full range.
        """
        if self.quantization in (_FULL_RANGE, _LIMITED_RANGE):
            return self.quantization == _LIMITED_RANGE
        return self.format.is_yuv and self.colorspace != _COLORSPACE_JPEG

    @property
    def coefficients(self) -> Coefficients:
        """Shares of red, green and blue in luma, as declared by the driver, else as its colour space has them."""
        if self.encoding:
            return _ENCODINGS.get(self.encoding, Coefficients.BT601)
        return _COLORSPACES.get(self.colorspace, Coefficients.BT601)


def _shared(pixels: int, by: int) -> int:
    """Return the number of values for `pixels` of which `by` share one."""
    return -(-pixels // by)


def _stored_bytes(samples: int, raw: RawFormat) -> int:
    """Return the length of `samples` in memory."""
    if raw.storage is Storage.BYTES:
        return samples
    if raw.storage is not Storage.PACKED:
        return 2 * samples
    group, size = PACKED_GROUPS[raw.bits]
    return _shared(samples, group) * size


#: Samples in a group of MIPI CSI-2's packed storage, and its length in bytes, by the bits of a sample.
PACKED_GROUPS: Mapping[int, tuple[int, int]] = MappingProxyType({10: (4, 5), 12: (2, 3), 14: (4, 7)})
