"""Pictures of a camera: files of JPEGs and coded video, and raw colour bars that contain the frame's number."""

import re
from functools import lru_cache
from pathlib import Path

from tests.vm.cameras.layout import FrameSize, Layout

__all__ = ("Pictures", "number_in", "unit_number", "units", "without_parameter_sets")

BARS = (
    (235, 128, 128),
    (210, 16, 146),
    (170, 166, 16),
    (145, 54, 34),
    (106, 202, 222),
    (81, 90, 240),
    (41, 240, 110),
)
BLACK, WHITE = 16, 235
NUMBER_BITS = 32
#: Types of NAL units with parameter sets: of H.264 (7.3.1) the low five bits, of H.265 (7.3.1.2) the six after the first.
PARAMETER_SETS = {"H264": {7, 8}, "HEVC": {32, 33, 34}}


class Pictures:
    """Pictures of a camera; the first `dark_frames` of a stream are black, as before the exposure settles."""

    def __init__(self, layout: Layout) -> None:
        folder = Path(layout.frames)
        self._layout, self._folder = layout, folder
        self._jpegs = {
            (each.width, each.height): _read(folder / f"{each.width}x{each.height}") for each in layout.mjpeg
        }
        self._dark_frames = layout.dark_frames
        if layout.dark_frames:
            self._dark = {(w, h): _read(folder / f"{w}x{h}/dark")[0] for w, h in self._jpegs}

    def of(self, code: str, size: FrameSize, index: int, stream: int, *, without_key: bool) -> bytes:
        """Return picture `index` of a stream, both counted from 0; of coded video maybe not a key frame."""
        if code == "MJPG":
            return self.jpeg(size, index)
        if code == "YUYV":
            return self.yuyv(size, index)
        return self._coded(code, size, index, stream, without_key=without_key)

    def _coded(self, code: str, size: FrameSize, index: int, stream: int, *, without_key: bool) -> bytes:
        layout, shape = self._layout, (size.width, size.height)
        if layout.coded_sizes:
            shape = layout.coded_sizes[stream % len(layout.coded_sizes)]
        number = unit_number(layout, index)
        unit = units(self._folder, code, *shape)[1 if without_key and number == 0 else number]
        if layout.parameter_sets == "first" and index != layout.before_key:
            return without_parameter_sets(code, unit)
        return unit

    def jpeg(self, size: FrameSize, index: int) -> bytes:
        """Return the file at `index` modulo their count."""
        if index < self._dark_frames:
            return self._dark[size.width, size.height]
        files = self._jpegs[size.width, size.height]
        return files[index % len(files)]

    def yuyv(self, size: FrameSize, index: int) -> bytes:
        """Return a YUYV picture; its first 32 pixels encode `index`, most significant bit first, white for 1."""
        bits = f"{index:0{NUMBER_BITS}b}"
        number = b"".join(bytes([WHITE if bit == "1" else BLACK, 128]) for bit in bits)
        return number + (_black(size) if index < self._dark_frames else _bars(size))


def unit_number(layout: Layout, index: int) -> int:
    """Return the number of the file that is picture `index` of a stream of coded video."""
    return (index - layout.before_key) % layout.group


@lru_cache(maxsize=8)
def units(folder: Path, code: str, width: int, height: int) -> list[bytes]:
    """Return the access units of a clip, of which the first is the only key frame."""
    return [path.read_bytes() for path in sorted((folder / code / f"{width}x{height}").glob("*.au"))]


def without_parameter_sets(code: str, unit: bytes) -> bytes:
    """Return an access unit in Annex B without its parameter sets."""
    kept = []
    for nal in re.split(rb"\x00{2,}\x01", unit)[1:]:
        kind = nal[0] & 0x1F if code == "H264" else nal[0] >> 1 & 0x3F
        if kind not in PARAMETER_SETS[code]:
            kept.append(b"\0\0\0\1" + nal)
    return b"".join(kept)


def number_in(yuyv: bytes) -> int:
    """Return the index encoded by `Pictures.yuyv`."""
    return int("".join("1" if luma > 128 else "0" for luma in yuyv[: 2 * NUMBER_BITS : 2]), 2)


@lru_cache(maxsize=8)
def _black(size: FrameSize) -> bytes:
    return bytes([BLACK, 128]) * (size.width * size.height - NUMBER_BITS)


@lru_cache(maxsize=8)
def _bars(size: FrameSize) -> bytes:
    pairs = size.width // 2
    row = b"".join(
        bytes([y, u, y, v]) for pair in range(pairs) for y, u, v in [BARS[pair * len(BARS) // pairs]]
    )
    return (row * size.height)[2 * NUMBER_BITS :]


def _read(folder: Path) -> list[bytes]:
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    if not files:
        raise FileNotFoundError(f"{folder} has no *.jpg")
    return files
