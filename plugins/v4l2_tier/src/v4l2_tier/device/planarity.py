"""Single- and multi-planar interface of V4L2: the same calls with other structures.

A multi-planar driver has the same formats, most of them with one plane of memory, and some with a plane of memory for each plane of the
picture.
"""

from enum import Enum
from typing import TYPE_CHECKING

from v4l2_tier.device.raw_formats import RawLayout

if TYPE_CHECKING:
    from linuxpy.video import raw

__all__ = ("Planarity", "code_of", "layout_of", "new_format", "number_of", "picture_of")

_BIG_ENDIAN = "-BE"
#: V4L2_FIELD_INTERLACED and its two orders: both fields in one picture, line by line.
_BOTH_FIELDS = frozenset({4, 8, 9})


class Planarity(Enum):
    """Interface of a driver, with its number: V4L2_BUF_TYPE_VIDEO_CAPTURE and V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE."""

    SINGLE = 1
    MULTI = 9


def code_of(number: int) -> str:
    """Return a format's code as v4l2-ctl prints it, without blanks at its end; bit 31 means big-endian."""
    characters = (number & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1")
    return f"{characters}{_BIG_ENDIAN}" if number >> 31 else characters.rstrip()


def number_of(code: str) -> int:
    """Return the number of a format's code."""
    letters = code.removesuffix(_BIG_ENDIAN).ljust(4).encode("latin-1")
    return int.from_bytes(letters, "little") | (code.endswith(_BIG_ENDIAN) << 31)


def new_format(planarity: Planarity) -> "raw.v4l2_format":
    """Return an empty structure for VIDIOC_G_FMT, S_FMT and TRY_FMT."""
    from linuxpy.video import raw

    return raw.v4l2_format(type=planarity.value)


def picture_of(answer: "raw.v4l2_format") -> "raw.v4l2_pix_format | raw.v4l2_pix_format_mplane":
    """Return the part of the structure that both interfaces have: size, code, field and colours of the picture."""
    return answer.fmt.pix if answer.type == Planarity.SINGLE.value else answer.fmt.pix_mp


def layout_of(answer: "raw.v4l2_format") -> RawLayout:
    """Return the layout of frames of this format."""
    pix = picture_of(answer)
    if answer.type == Planarity.SINGLE.value:
        lines = [answer.fmt.pix.bytesperline]
    else:
        multi = answer.fmt.pix_mp
        lines = [multi.plane_fmt[index].bytesperline for index in range(max(multi.num_planes, 1))]
    return RawLayout(
        code_of(pix.pixelformat),
        pix.width,
        pix.height,
        lines[0],
        colorspace=pix.colorspace,
        encoding=pix.m1.ycbcr_enc,
        quantization=pix.quantization,
        interlaced=pix.field in _BOTH_FIELDS,
        more_lines=tuple(lines[1:]),
    )
