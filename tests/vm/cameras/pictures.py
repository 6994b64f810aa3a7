"""Pictures of a camera: JPEG files unchanged, and raw colour bars that contain the frame's number."""

from functools import lru_cache
from pathlib import Path

from tests.vm.cameras.layout import FrameSize

__all__ = ("Pictures", "number_in")

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


class Pictures:
    """Pictures of a camera; the first `dark_frames` of a stream are black, as before the exposure settles."""

    def __init__(self, folder: Path, sizes: tuple[FrameSize, ...], dark_frames: int) -> None:
        self._jpegs = {
            (each.width, each.height): _read(folder / f"{each.width}x{each.height}") for each in sizes
        }
        self._dark_frames = dark_frames
        if dark_frames:
            self._dark = {(w, h): _read(folder / f"{w}x{h}/dark")[0] for w, h in self._jpegs}

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
