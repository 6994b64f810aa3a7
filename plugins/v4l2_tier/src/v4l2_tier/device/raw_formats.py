"""Memory layout of uncompressed frames, as V4L2 defines it; needs no numpy."""

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ("Coefficients", "RawLayout")

#: V4L2_COLORSPACE_JPEG: BT.601, full range.
_COLORSPACE_JPEG = 7
#: V4L2_QUANTIZATION_FULL_RANGE and _LIM_RANGE.
_FULL_RANGE, _LIMITED_RANGE = 1, 2

_PACKED_YUV = ("YUYV", "UYVY", "YVYU", "VYUY")
_SEMI_PLANAR = ("NV12", "NV21")
_RGB = ("RGB3", "BGR3")


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
class RawLayout:
    """Layout of a frame; `bytes_per_line` includes padding and, in planar formats, belongs to the first plane.

    `interlaced` is True if the lines of two fields alternate. `colorspace`, `encoding` and `quantization` are the values of `v4l2_pix_format`, 0 for the default.
    """

    code: str
    width: int
    height: int
    bytes_per_line: int
    colorspace: int = 0
    encoding: int = 0
    quantization: int = 0
    interlaced: bool = False

    @property
    def line_bytes(self) -> int:
        """Length of a line, at least as long as its pixels need: some drivers leave `bytes_per_line` empty."""
        if self.code in _SEMI_PLANAR:  # lines of chroma pairs are as long as lines of luma
            return max(self.bytes_per_line, (self.width + 1) // 2 * 2)
        if self.code in _PACKED_YUV:
            return max(self.bytes_per_line, (self.width + 1) // 2 * 4)
        return max(self.bytes_per_line, self.width * (3 if self.code in _RGB else 1))

    @property
    def chroma_line_bytes(self) -> int:
        """Length of a line in the second and third plane of a format with three."""
        return (self.line_bytes + 1) // 2

    @property
    def size_bytes(self) -> int:
        """Length of a frame without padding behind its last plane."""
        lines = self.line_bytes * self.height
        if self.code in _SEMI_PLANAR:
            return lines + self.line_bytes * ((self.height + 1) // 2)
        if self.code in ("YU12", "YV12"):
            return lines + 2 * self.chroma_line_bytes * ((self.height + 1) // 2)
        if self.code == "422P":
            return lines + 2 * self.chroma_line_bytes * self.height
        return lines

    @property
    def is_limited_range(self) -> bool:
        """True for video range (black 16, white 235), False for JPEG's full range (0 to 255).

        The default follows the kernel's V4L2_MAP_QUANTIZATION_DEFAULT, except for GREY: monochrome cameras send their
        sensor's full range.
        """
        if self.quantization in (_FULL_RANGE, _LIMITED_RANGE):
            return self.quantization == _LIMITED_RANGE
        return self.code not in (*_RGB, "GREY") and self.colorspace != _COLORSPACE_JPEG

    @property
    def coefficients(self) -> Coefficients:
        """Shares of red, green and blue in luma, as declared by the driver, else as its colour space has them."""
        if self.encoding:
            return _ENCODINGS.get(self.encoding, Coefficients.BT601)
        return _COLORSPACES.get(self.colorspace, Coefficients.BT601)
