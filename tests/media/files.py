"""Fragmented MP4 files that FFmpeg writes, whole and torn."""

import struct
from datetime import datetime
from pathlib import Path

from agent_core.base.errors import FfmpegFailed
from agent_core.plugin import ffmpeg

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p")
FRAGMENTED = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4")


def source(fps: float, duration_s: float, size: str = "160x120") -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps}:duration={duration_s}")


async def make(path: Path, *arguments: str) -> Path:
    await ffmpeg.run(ffmpeg.locate(), ["-y", *arguments, *FRAGMENTED, str(path)])
    return path


async def half_second_parts(path: Path, fps: int = 10, duration_s: float = 4) -> Path:
    return await make(path, *source(fps, duration_s), *H264, "-g", str(fps // 2))


def boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """(type, start, end) of the file's top-level boxes; read here on our own, so that it can prove the reader wrong."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, at, at + size))
        at += size
    return found


def started(data: bytes, start: datetime) -> bytes:
    """The file with MediaMTX's box of the first sample's time (nanoseconds) at the end of its moov."""
    _, at, end = next(each for each in boxes(data) if each[0] == b"moov")
    box = struct.pack(">I4s36xq", 52, b"mtxi", int(start.timestamp()) * 10**9)
    size = struct.pack(">I", end - at + len(box))
    return data[:at] + size + data[at + 4 : end] + box + data[end:]


async def plays(path: Path) -> bool:
    try:
        await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(path), "-f", "null", "-"])
    except FfmpegFailed:
        return False
    return True


async def torn_at(path: Path, kind: bytes, count: int, offset: int) -> None:
    """A file that ends `offset` bytes into its box number `count` of that kind, or before its end."""
    data = (await half_second_parts(path)).read_bytes()
    start, end = [(start, end) for box, start, end in boxes(data) if box == kind][count]
    path.write_bytes(data[: offset + (start if offset >= 0 else end)])


def whole_parts_end(path: Path) -> int:
    """The offset after the last mdat that is all there."""
    data = path.read_bytes()
    return max(end for kind, _, end in boxes(data) if kind == b"mdat" and end <= len(data))
