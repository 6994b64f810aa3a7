"""Decoding of damaged and incomplete groups: no picture that differs from the undamaged stream's is given out."""

import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import av
import pytest

from agent_core.plugin import ffmpeg
from rtsp_tier.worker.continuity import FrameNumbers
from rtsp_tier.worker.decoding import Decoded, GroupDecoder
from rtsp_tier.worker.group import Entry

GROUP, PICTURES = 12, 36
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-pix_fmt", "yuv420p")
ENCODERS = {
    "baseline": ("h264", (*X264, "-profile:v", "baseline")),
    "one reference": ("h264", (*X264, "-bf", "0", "-refs", "1")),
    "reordered": ("h264", (*X264, "-bf", "2", "-b_strategy", "0")),
    "pyramid": ("h264", (*X264, "-bf", "3", "-x264-params", "b-pyramid=normal:b-adapt=0")),
    "slices": ("h264", (*X264, "-bf", "0", "-x264-params", "slices=3")),
    "interlaced": ("h264", (*X264, "-bf", "0", "-flags", "+ildct+ilme")),
    "matrices": ("h264", (*X264, "-bf", "0", "-x264-params", "cqm=jvt")),
    "intra refresh": ("h264", (*X264, "-bf", "0", "-x264-params", "intra-refresh=1")),
    "4:4:4": ("h264", ("-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv444p")),
    "h265": ("hevc", (*X265, "-x265-params", "log-level=none:bframes=0")),
    "h265 reordered": ("hevc", (*X265, "-x265-params", "log-level=none:bframes=2")),
}


def lost(_: bytes) -> bytes | None:
    return None


def halved(data: bytes) -> bytes | None:
    return data[: len(data) // 2]


#: A picture that is lost, and one of which half is left. libav does not recognise each such H.265 picture; that is the
#: reader's work.
DAMAGES = [
    *((name, lost) for name in ENCODERS),
    *((name, halved) for name, (codec, _) in ENCODERS.items() if codec == "h264"),
]


Stream = tuple[str, list[bytes]]


@pytest.fixture(scope="module")
def streams() -> Callable[[str], Stream]:
    """Return a function that returns a codec and the pictures of a stream as packets, encoded once."""
    made: dict[str, Stream] = {}

    def make(name: str) -> Stream:
        if name not in made:
            made[name] = encoded(*ENCODERS[name])
        return made[name]

    return make


@pytest.fixture(params=ENCODERS)
def stream(request: pytest.FixtureRequest, streams: Callable[[str], Stream]) -> Stream:
    return streams(request.param)


def encoded(codec: str, encoder: tuple[str, ...]) -> Stream:
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x192:rate=15", "-frames:v", str(PICTURES))
    argv = [ffmpeg.locate(), *ffmpeg.QUIET, *source, *encoder, "-g", str(GROUP), "-f", codec, "-"]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this FFmpeg cannot encode the video: {done.stderr.decode()}")
    parser = av.CodecContext.create(codec, "r")
    return codec, [bytes(each) for each in [*parser.parse(done.stdout), *parser.parse(None)]]


def entries(pictures: Iterable[bytes | None], keys: list[bool]) -> list[Entry]:
    """Return entries as a reader makes them, numbered without gaps: it does not know what is missing."""
    found: list[Entry] = []
    for data, is_key in zip(pictures, keys, strict=True):
        if data is not None:
            packet: Any = av.Packet(data)
            packet.pts = packet.dts = len(found)
            found.append(Entry(len(found), packet, is_key, len(data), 0.0, None))
    return found


def key_frames(codec: str, pictures: list[bytes]) -> list[bool]:
    parser = av.CodecContext.create(codec, "r")
    packets = [*parser.parse(b"".join(pictures)), *parser.parse(None)]
    return [each.is_keyframe for each in packets]


def shown(decoder: GroupDecoder, given: list[Entry]) -> list[Decoded]:
    """Feed from the first key frame on."""
    first = next(index for index, each in enumerate(given) if each.is_key)
    return [each for entry in given[first:] for each in decoder.feed(entry)]


def pixels(decoded: Decoded) -> bytes:
    """Return the picture's bytes without the padding of its rows, which is arbitrary."""
    rows = []
    for plane in decoded.frame.planes:
        data = bytes(plane)
        rows += [data[at : at + plane.width] for at in range(0, len(data), plane.line_size)][: plane.height]
    return b"".join(rows)


def test_a_whole_stream_has_no_gap_and_all_its_pictures_are_shown(stream: Stream) -> None:
    codec, pictures = stream
    found = shown(GroupDecoder(codec, b""), entries(pictures, key_frames(codec, pictures)))
    assert len(found) >= PICTURES - 6  # without the last, which wait for reordering
    assert len({each.entry.number for each in found}) == len(found)
    if codec == "h264":
        numbers = FrameNumbers(b"")
        assert not any(numbers.is_gap(each) for each in pictures)


@pytest.mark.parametrize(("stream", "damage"), DAMAGES, indirect=["stream"])
@pytest.mark.parametrize("damaged", [0, 5, GROUP - 1, GROUP + 3])
def test_after_damage_no_wrong_picture_is_shown_until_the_next_key_frame(
    stream: Stream, damaged: int, damage: Callable[[bytes], bytes | None]
) -> None:
    codec, pictures = stream
    keys = key_frames(codec, pictures)
    right = {pixels(each) for each in shown(GroupDecoder(codec, b""), entries(pictures, keys))}
    given: list[bytes | None] = list(pictures)
    given[damaged] = damage(pictures[damaged])
    found = shown(GroupDecoder(codec, b""), entries(given, keys))
    assert [each.entry.number for each in found if pixels(each) not in right] == []
    assert len(found) >= PICTURES - 2 * GROUP - 6  # the last group is whole


def test_a_key_frame_alone_is_decoded_though_the_codec_reorders(stream: Stream) -> None:
    codec, pictures = stream
    given = entries(pictures, key_frames(codec, pictures))
    decoder = GroupDecoder(codec, b"")
    for key in [each for each in given if each.is_key][:2]:
        alone = decoder.only(key)
        if alone is not None:  # a stream with gradual refresh has no picture that is whole alone
            assert alone.entry is key
    assert decoder.last is None


def test_parameter_sets_of_the_description_are_enough(stream: Stream) -> None:
    codec, pictures = stream
    starts = b"\0\0\0\1"
    sets = {7, 8} if codec == "h264" else {32, 33, 34}

    def kind(unit: bytes) -> int:
        return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F

    def units(data: bytes) -> list[bytes]:
        return [each for each in data.replace(starts, b"\0\0\1").split(b"\0\0\1") if each]

    described = b"".join(starts + each for each in units(pictures[0]) if kind(each) in sets)
    bare = [b"".join(starts + each for each in units(data) if kind(each) not in sets) for data in pictures]
    assert described
    found = shown(GroupDecoder(codec, described), entries(bare, key_frames(codec, pictures)))
    assert len(found) >= PICTURES - 6
    lost = bare[:5] + bare[6:]
    if codec == "h264":
        numbers = FrameNumbers(described)
        gaps = [index for index, each in enumerate(lost) if numbers.is_gap(each)]
        assert gaps[:1] in ([5], [])  # none if the lost picture was not a reference


def test_frame_numbers_read_any_bytes() -> None:
    import random

    chance = random.Random(3)
    numbers = FrameNumbers(b"")
    for _ in range(3000):
        head = bytes([0, 0, 1, chance.choice((0x67, 0x68, 0x65, 0x41, 0x01))])
        numbers.is_gap(head + chance.randbytes(chance.randrange(60)))
        numbers.is_gap(chance.randbytes(chance.randrange(20)))
