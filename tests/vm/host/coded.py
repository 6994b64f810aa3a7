"""H.264 and H.265 for simulated webcams: one file per picture, as a camera's encoder gives them."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from agent_core.plugin import ffmpeg
from tests.vm.host.shell import run

__all__ = ("CLIPS", "write_clips")

#: Formats by their V4L2 codes, with the sizes of their pictures.
CLIPS = {"H264": ((320, 240), (640, 480)), "HEVC": ((320, 240),)}
#: Pictures of a clip, of which only the first is a key frame.
COUNT = 300
RATE_FPS = 10
_ENCODERS = {
    "H264": ("libx264", "-x264-params", f"keyint={COUNT}:scenecut=0:bframes=0:aud=1"),
    "HEVC": (
        *("libx265", "-x265-params"),
        f"keyint={COUNT}:scenecut=0:bframes=0:aud=1:repeat-headers=1:log-level=error",
    ),
}
#: Access unit delimiters, which begin each picture: the agent's cameras send none, as most cameras.
_DELIMITERS = {
    "H264": re.compile(rb"\x00{2,}\x01\x09.", re.DOTALL),
    "HEVC": re.compile(rb"\x00{2,}\x01\x46\x01.", re.DOTALL),
}


def write_clips(folder: Path) -> None:
    """Write `CODE/WIDTHxHEIGHT/NNN.au`, each the access unit of one picture in Annex B."""
    program = ffmpeg.locate()
    with TemporaryDirectory() as name:
        for code, sizes in CLIPS.items():
            for width, height in sizes:
                stream = Path(name, f"{width}x{height}.{code.lower()}")
                run(program, *ffmpeg.QUIET, *_words(code, width, height), str(stream))
                _write_units(code, stream.read_bytes(), folder / code / f"{width}x{height}")


def _words(code: str, width: int, height: int) -> tuple[str, ...]:
    source = f"testsrc2=size={width}x{height}:rate={RATE_FPS}"
    encoder = ("-c:v", *_ENCODERS[code], "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "300k")
    form = "h264" if code == "H264" else "hevc"
    return ("-f", "lavfi", "-i", source, "-frames:v", str(COUNT), *encoder, "-f", form)


def _write_units(code: str, stream: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    units = _DELIMITERS[code].split(stream)[1:]
    if len(units) != COUNT:
        raise ValueError(f"FFmpeg encoded {len(units)} pictures of {COUNT} ({code})")
    for number, unit in enumerate(units):
        (folder / f"{number:03}.au").write_bytes(unit)
