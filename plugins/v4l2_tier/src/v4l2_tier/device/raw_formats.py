"""How uncompressed frames lie in memory, as V4L2 defines it; nothing here needs numpy."""

from dataclasses import dataclass

__all__ = ("RawLayout",)

#: V4L2_COLORSPACE_JPEG: BT.601, full range.
_COLORSPACE_JPEG = 7
#: V4L2_QUANTIZATION_FULL_RANGE and _LIM_RANGE.
_FULL_RANGE, _LIMITED_RANGE = 1, 2

_PACKED_YUV = ("YUYV", "UYVY", "YVYU", "VYUY")
_SEMI_PLANAR = ("NV12", "NV21")
_RGB = ("RGB3", "BGR3")


@dataclass(frozen=True, slots=True)
class RawLayout:
    """`bytes_per_line` includes padding; of planar formats it is that of the first plane.

    `colorspace`, `encoding` and `quantization` are the numbers of `v4l2_pix_format`, 0 for the default.
    """

    code: str
    width: int
    height: int
    bytes_per_line: int
    colorspace: int = 0
    encoding: int = 0
    quantization: int = 0

    @property
    def line_bytes(self) -> int:
        """At least what the pixels need: some drivers leave `bytes_per_line` empty."""
        if self.code in _SEMI_PLANAR:  # chroma lines are of pairs, as long as those of luma
            return max(self.bytes_per_line, (self.width + 1) // 2 * 2)
        if self.code in _PACKED_YUV:
            return max(self.bytes_per_line, (self.width + 1) // 2 * 4)
        return max(self.bytes_per_line, self.width * (3 if self.code in _RGB else 1))

    @property
    def chroma_line_bytes(self) -> int:
        """Of the second and third plane of a format with three."""
        return (self.line_bytes + 1) // 2

    @property
    def size_bytes(self) -> int:
        """The length of a whole frame, without padding behind its last plane."""
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
        """Whether black is 16 and white 235 (video range), where a JPEG's are 0 and 255.

        The default is that of the kernel's V4L2_MAP_QUANTIZATION_DEFAULT, but for GREY: cameras that have no colours
        send their sensor's whole range.
        """
        if self.code in _RGB:
            return False
        if self.quantization in (_FULL_RANGE, _LIMITED_RANGE):
            return self.quantization == _LIMITED_RANGE
        return self.code != "GREY" and self.colorspace != _COLORSPACE_JPEG
