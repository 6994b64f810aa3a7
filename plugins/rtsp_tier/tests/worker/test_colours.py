"""Colours of the pictures, compared with FFmpeg's own still of the same frame."""

import io
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from agent_core.plugin import ffmpeg
from rtsp_tier.worker.decoding import GroupDecoder
from rtsp_tier.worker.group import Entry
from rtsp_tier.worker.pictures import still

SIZE = "320x192"
#: Smooth colours all over the RGB cube, so that neither an encoder nor chroma subsampling matters.
SOURCE = f"color=s={SIZE}:r=5,format=rgb24,geq=r='255*X/W':g='255*Y/H':b='127+127*sin(3*X/W+4*Y/H)'"
X264 = ("-c:v", "libx264", "-qp", "4")
X265 = ("-c:v", "libx265", "-x265-params", "log-level=none:qp=4")
ENCODERS = {"h264": X264, "hevc": X265}
#: Mean error per channel, of 255. The wrong matrix gives 5 to 12 here, and the wrong range 7 to 8.
LIMIT = 2.0


def ffmpeg_output(*arguments: str, given: bytes = b"") -> bytes:
    argv = [ffmpeg.locate(), *ffmpeg.QUIET, *arguments]
    done = subprocess.run(argv, input=given, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this FFmpeg cannot make the video: {done.stderr.decode()}")
    return done.stdout


def encoded(codec: str, matrix: str, colours: str, *, is_flagged: bool = True) -> bytes:
    ranged = f"scale=out_range={colours}:out_color_matrix={matrix}:flags=accurate_rnd,format=yuv420p"
    if not is_flagged:
        ranged += ",setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown:range=unspecified"
    name = {"bt601": "smpte170m", "bt709": "bt709"}[matrix]
    flags = ["-colorspace", name, "-color_primaries", name, "-color_trc", name, "-color_range", colours]
    source = ("-f", "lavfi", "-i", SOURCE, "-frames:v", "3", "-vf", ranged)
    return ffmpeg_output(*source, *ENCODERS[codec], *(flags if is_flagged else ()), "-f", codec, "-")


def reference(codec: str, stream: bytes) -> Image.Image:
    """Return FFmpeg's still as PNG, which keeps the colours as FFmpeg shows them."""
    still_options = ("-frames:v", "1", "-sws_flags", "accurate_rnd+full_chroma_int", "-c:v", "png")
    data = ffmpeg_output("-f", codec, "-i", "-", *still_options, "-f", "image2pipe", "-", given=stream)
    return Image.open(io.BytesIO(data)).convert("RGB")


def ours(codec: str, stream: bytes) -> bytes:
    parser = av.CodecContext.create(codec, "r")
    packet: Any = [*parser.parse(stream), *parser.parse(None)][0]
    packet.pts = packet.dts = 0
    decoded = GroupDecoder(codec, b"").only(Entry(0, packet, True, packet.size, 0.0, None))
    assert decoded is not None
    return still(decoded, codec, 90).data


def errors(one: Image.Image, other: Image.Image) -> list[float]:
    return ImageStat.Stat(ImageChops.difference(one, other)).mean


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("colours", ["limited", "full"])
def test_every_matrix_and_range_has_ffmpegs_colours(codec: str, matrix: str, colours: str) -> None:
    stream = encoded(codec, matrix, {"limited": "tv", "full": "pc"}[colours])
    picture = Image.open(io.BytesIO(ours(codec, stream))).convert("RGB")
    assert max(errors(picture, reference(codec, stream))) < LIMIT


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_stream_that_declares_no_colours_is_shown_as_ffmpeg_shows_it(codec: str) -> None:
    stream = encoded(codec, "bt601", "tv", is_flagged=False)
    picture = Image.open(io.BytesIO(ours(codec, stream))).convert("RGB")
    assert max(errors(picture, reference(codec, stream))) < LIMIT


def test_a_wrong_matrix_or_range_would_be_noticed() -> None:
    """Decode what is BT.709 or full range, but says nothing, as BT.601 and limited."""
    right = reference("h264", encoded("h264", "bt709", "tv"))
    for matrix, colours in (("bt709", "tv"), ("bt601", "pc")):
        wrong = reference("h264", encoded("h264", matrix, colours, is_flagged=False))
        assert max(errors(wrong, right)) > 2 * LIMIT


def test_a_motion_jpeg_picture_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    options = ("-vf", "format=yuvj420p", "-c:v", "mjpeg", "-q:v", "2", "-huffman", "default")
    data = ffmpeg_output("-f", "lavfi", "-i", SOURCE, "-frames:v", "1", *options, "-f", "image2pipe", "-")
    assert ours("mjpeg", data) == data
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    assert max(errors(picture, reference("mjpeg", data))) < LIMIT


@pytest.mark.parametrize("format_", ["yuv422p", "yuv444p", "yuv420p10le", "gray"])
def test_other_pixel_formats_become_pictures_too(format_: str) -> None:
    options = ("-vf", f"scale=out_range=tv:out_color_matrix=bt601,format={format_}", *X264)
    stream = ffmpeg_output("-f", "lavfi", "-i", SOURCE, "-frames:v", "2", *options, "-f", "h264", "-")
    picture = Image.open(io.BytesIO(ours("h264", stream))).convert("RGB")
    assert max(errors(picture, reference("h264", stream))) < LIMIT
