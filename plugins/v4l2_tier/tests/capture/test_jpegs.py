"""JPEGs as cameras send them, judged by libjpeg-turbo and FFmpeg."""

import io
import logging
import random
from collections.abc import Callable

import av
import pytest
import simplejpeg
from av.codec.context import CodecContext
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from agent_core.plugin import WorkerPool, jpeg
from agent_core.plugin.jpeg import Repair
from v4l2_tier.capture.jpegs import JpegReader, is_complete
from v4l2_tier.settings import JpegCheck

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
Pixels = bytes


def encoded(width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    chance = random.Random(width * height)
    size = (width // 4 + 1, height // 4 + 1)
    coarse = Image.frombytes("RGB", size, chance.randbytes(3 * size[0] * size[1]))
    output = io.BytesIO()
    coarse.resize((width, height)).convert(mode).save(output, "JPEG", **options)
    return output.getvalue()


def segments(data: bytes) -> list[tuple[int, int, int]]:
    """The segments of the header as (marker, start, end)."""
    position = 2
    found: list[tuple[int, int, int]] = []
    while not found or found[-1][0] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        found.append((data[position + 1], position, end))
        position = end
    return found


def without_tables(data: bytes) -> bytes:
    kept = b"".join(data[start:end] for marker, start, end in segments(data) if marker != 0xC4)
    return SOI + kept + data[segments(data)[-1][2] :]


PICTURES = {
    "plain": encoded(64, 48),
    "4:2:2": encoded(72, 40, subsampling="4:2:2"),
    "4:4:4": encoded(48, 64, subsampling="4:4:4", quality=95),
    "odd": encoded(61, 47),
    "grey": encoded(64, 48, "L"),
    "restarts": encoded(96, 64, restart_marker_blocks=2),
    "progressive": encoded(64, 48, progressive=True),
    "optimized": encoded(64, 48, optimize=True),
    "large": encoded(320, 240, quality=60),
    "dark": encoded(64, 48, quality=1),
    "no tables": without_tables(encoded(64, 48)),
}


def by_libjpeg(data: bytes, *, strict: bool = False) -> Pixels | None:
    try:
        decoded = simplejpeg.decode_jpeg(data, "GRAY", strict=strict)
    except ValueError:
        return None
    return bytes(decoded.tobytes())


def by_ffmpeg(data: bytes) -> Pixels | None:
    decoder = CodecContext.create("mjpeg", "r")
    try:
        frames = decoder.decode(av.Packet(data)) + decoder.decode(None)
    except (av.error.FFmpegError, ValueError):
        return None
    if not frames or frames[0].is_corrupt:
        return None
    return bytes(frames[0].reformat(format="gray").to_ndarray().tobytes())


# Damage that hides no pixel.

Damage = Callable[[bytes, random.Random], bytes]


def junk(chance: random.Random, longest: int) -> bytes:
    """Bytes without a start marker."""
    return chance.randbytes(chance.randint(1, longest)).replace(SOI, b"\0\0")


def with_tail(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice(
        (
            bytes(chance.randint(1, 9000)),
            b"\xff" * chance.randint(1, 9000),
            junk(chance, 20_000),
            EOI,
            PICTURES["plain"],
            PICTURES["large"][1000:],
        )
    )


def without_end(data: bytes, chance: random.Random) -> bytes:
    pad = (b"", bytes(chance.randint(1, 5000)), b"\xff" * chance.randint(1, 5000), b"\xff")
    return data[:-2] + chance.choice(pad) if data.endswith(EOI) else data


def with_leading_bytes(data: bytes, chance: random.Random) -> bytes:
    return chance.choice((SOI, b"\0", junk(chance, 40))) + data


def with_strays(data: bytes, chance: random.Random) -> bytes:
    _, place, _ = chance.choice(segments(data))
    return data[:place] + chance.choice((b"\0", bytes(7), junk(chance, 12))) + data[place:]


def with_short_segment(data: bytes, chance: random.Random) -> bytes:
    """An application segment that claims less than its length."""
    body = junk(chance, 30)
    claimed = 2 + max(len(body) - chance.randint(1, 4), 0)
    return data[:2] + b"\xff\xe0" + claimed.to_bytes(2, "big") + body + data[2:]


def with_fill(data: bytes, chance: random.Random) -> bytes:
    _, place, _ = chance.choice(segments(data))
    return data[:place] + b"\xff" * chance.randint(1, 5) + data[place:]


HEADER: tuple[Damage, ...] = (with_strays, with_short_segment, with_fill)


@st.composite
def whole(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A picture, and a camera's data with all of it."""
    original = PICTURES[draw(st.sampled_from(sorted(PICTURES)))]
    chance = random.Random(draw(st.integers(0, 2**32)))
    data = original
    if draw(st.booleans()):
        data = draw(st.sampled_from(HEADER))(data, chance)
    if draw(st.booleans()):
        data = without_end(data, chance)
    elif draw(st.booleans()):
        data = with_tail(data, chance)
    if draw(st.booleans()):
        data = with_leading_bytes(data, chance)
    return original, data


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A picture, and a camera's data that end amid its compressed data."""
    original = PICTURES[draw(st.sampled_from(sorted(PICTURES)))]
    chance = random.Random(draw(st.integers(0, 2**32)))
    scan_start = segments(original)[-1][2]
    # Two bytes are more than the bits that fill up the last byte, and a stuffed zero.
    place = draw(st.integers(scan_start + 1, len(original) - 5))
    return original, without_end(original[:place] + EOI, chance)


def mended(data: bytes) -> jpeg.WholeJpeg | None:
    try:
        return jpeg.mend(data, is_complete)
    except jpeg.JpegError:
        return None


shown_whole = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@seed(17)
@shown_whole
@given(whole())
def test_a_picture_that_both_decoders_show_is_accepted_with_the_same_pixels(
    case: tuple[bytes, bytes],
) -> None:
    original, data = case
    right = by_libjpeg(original), by_ffmpeg(original)
    assert None not in right
    result = mended(data)
    if (by_libjpeg(data), by_ffmpeg(data)) == right:
        assert result is not None
    if result is not None:
        assert by_libjpeg(result.data, strict=True) == right[0]
        assert by_ffmpeg(result.data) == right[1]
        assert jpeg.inspect(result.data) == jpeg.JpegInfo(result.width, result.height, len(result.data))


@seed(17)
@shown_whole
@given(cut())
def test_a_picture_that_is_cut_off_does_not_pass_for_whole(case: tuple[bytes, bytes]) -> None:
    original, data = case
    result = mended(data)
    assert result is None or by_libjpeg(result.data) == by_libjpeg(original)


@seed(17)
@shown_whole
@given(cut(), st.sampled_from(sorted(PICTURES)))
def test_behind_a_picture_that_is_cut_off_the_next_one_counts(case: tuple[bytes, bytes], name: str) -> None:
    original, data = case
    result = mended(data + PICTURES[name])
    assert result is not None
    assert by_libjpeg(result.data) in (by_libjpeg(PICTURES[name]), by_libjpeg(original))


# Kinds of data that users have reported.

PLAIN = PICTURES["plain"]
NOISE = random.Random(5).randbytes(60_000)
FIRST_END = segments(PLAIN)[0][2]
CASES = {
    "well-formed": (PLAIN, ()),
    "padded with zeros": (PLAIN + bytes(30_000), ()),
    "no end marker": (PLAIN[:-2], (Repair.END,)),
    "no end marker, padded with zeros": (PLAIN[:-2] + bytes(30_000), (Repair.END,)),
    "no end marker, padded with 0xFF": (PLAIN[:-2] + b"\xff" * 30_000, (Repair.END,)),
    "half an end marker": (PLAIN[:-1], (Repair.END,)),
    "no end marker, then another marker": (PLAIN[:-2] + b"\xff\x4f" + NOISE, (Repair.END,)),
    "no end marker, then another picture": (PLAIN[:-2] + PICTURES["large"], (Repair.LEADING,)),
    "0xFF behind its end": (PLAIN + b"\xff" * 30_000, (Repair.TAIL,)),
    "rest of a longer picture behind its end": (PLAIN + PICTURES["large"][4000:], (Repair.TAIL,)),
    "telemetry behind its end": (PLAIN + NOISE, (Repair.TAIL,)),
    "two fields": (PLAIN + PLAIN, (Repair.TAIL,)),
    "two end markers": (PLAIN + EOI, (Repair.TAIL,)),
    "two start markers": (SOI + PLAIN, (Repair.LEADING,)),
    "bytes before the start marker": (b"\0\x11\x22abcd" + PLAIN, (Repair.LEADING,)),
    "rest of another picture before it": (PICTURES["large"][4000:] + PLAIN, (Repair.LEADING,)),
    "length of a segment too small": (SOI + b"\xff\xe0\0\x0eAVI1" + bytes(10) + PLAIN[2:], (Repair.STRAYS,)),
    "zeros between segments": (PLAIN[:FIRST_END] + bytes(2) + PLAIN[FIRST_END:], (Repair.STRAYS,)),
    "zeros behind each segment": (
        SOI
        + b"".join(PLAIN[a:b] + bytes(3) for _, a, b in segments(PLAIN)[:-1])
        + PLAIN[segments(PLAIN)[-1][1] :],
        (Repair.STRAYS,),
    ),
    "no Huffman tables": (PICTURES["no tables"], (Repair.TABLES,)),
    "all at once": (
        b"abc" + PICTURES["no tables"][:FIRST_END] + b"xyz" + PICTURES["no tables"][FIRST_END:-2] + bytes(99),
        (Repair.LEADING, Repair.STRAYS, Repair.TABLES, Repair.END),
    ),
}


@pytest.mark.parametrize(("data", "repairs"), CASES.values(), ids=CASES)
async def test_a_whole_picture_is_used_however_it_is_wrapped(
    data: bytes, repairs: tuple[Repair, ...]
) -> None:
    result = await JpegReader(WorkerPool(1)).read(data)
    assert result.repairs == repairs
    expected = PICTURES["large"] if data.endswith(PICTURES["large"]) else PLAIN
    assert by_libjpeg(result.data, strict=True) == by_libjpeg(expected)
    if not repairs:
        assert result.data == PLAIN


THUMBNAIL = encoded(16, 16)
WITH_THUMBNAIL = (
    SOI
    + b"\xff\xe1"
    + (len(THUMBNAIL) + 8).to_bytes(2, "big")
    + b"Exif\0\0"
    + THUMBNAIL
    + PICTURES["large"][2:]
)
DAMAGED = {
    "empty": (b"", "start"),
    "something else": (NOISE[:500], "start"),
    "only a start": (SOI, "header"),
    "cut in its header": (PLAIN[:FIRST_END], "header"),
    "cut by a third": (PICTURES["large"][: len(PICTURES["large"]) * 2 // 3], "end is missing"),
    "cut by a third, padded": (
        PICTURES["large"][: len(PICTURES["large"]) * 2 // 3] + bytes(9000),
        "end is missing",
    ),
    "cut, with a thumbnail": (WITH_THUMBNAIL[:-500], "end is missing"),
    "cut between two scans": (
        PICTURES["progressive"][: PICTURES["progressive"].rindex(b"\xff\xda")],
        "end is missing",
    ),
    "a marker amid its data": (
        PICTURES["large"][:-900] + b"\xff\x4f" + PICTURES["large"][-900:],
        "picture data is damaged",
    ),
}


@pytest.mark.parametrize(("data", "fault"), DAMAGED.values(), ids=DAMAGED)
async def test_what_lacks_a_part_of_the_picture_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(jpeg.JpegError, match=fault):
        await JpegReader(WorkerPool(1)).read(data)


def test_the_size_that_a_forged_header_claims_is_not_allocated() -> None:
    place = next(start for marker, start, _ in segments(PLAIN) if marker == 0xC0)
    forged = PLAIN[: place + 5] + b"\xff\xff\xff\xff" + PLAIN[place + 9 :]
    assert jpeg.inspect(forged).width == 65535
    assert not is_complete(forged)


async def test_all_pictures_are_decoded_if_that_is_configured() -> None:
    ended = PICTURES["large"][:-2000] + EOI
    assert (await JpegReader(WorkerPool(1)).read(ended)).data is ended
    with pytest.raises(jpeg.JpegError, match="damaged"):
        await JpegReader(WorkerPool(1), "all").read(ended)
    assert (await JpegReader(WorkerPool(1), "all").read(PLAIN)).data is PLAIN


def with_strays_before_restarts(data: bytes, markers: int) -> bytes:
    """The picture as Logitech's C270 and C910 send it, with bytes too many before some restart markers."""
    scan_start = segments(data)[-1][2]
    scan = data[scan_start:]
    for number in range(markers):
        scan = scan.replace(bytes((0xFF, 0xD0 + number)), bytes((*b"stray bytes", 0xFF, 0xD0 + number)), 1)
    return data[:scan_start] + scan


@pytest.mark.parametrize("check", ["ends", "all"])
@pytest.mark.parametrize("is_ended", [True, False])
async def test_stray_bytes_before_restart_markers_are_no_damage(check: JpegCheck, is_ended: bool) -> None:
    data = with_strays_before_restarts(PICTURES["restarts"], 4)
    assert by_libjpeg(data) == by_libjpeg(PICTURES["restarts"])
    assert by_libjpeg(data, strict=True) is None
    reader = JpegReader(WorkerPool(1), check)
    assert (await reader.read(data if is_ended else data[:-2])).data == data
    for place in (segments(data)[-1][2] + 40, data.index(b"\xff\xd5")):
        with pytest.raises(jpeg.JpegError):
            await reader.read(data[:place])
        lost = data[:place] + data[place + 120 :]
        if check == "all":
            with pytest.raises(jpeg.JpegError):
                await reader.read(lost)


@pytest.mark.parametrize("name", ["plain", "grey", "odd", "progressive"])
@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_the_restart_markers_of_a_picture_are_counted(name: str, blocks: int) -> None:
    with Image.open(io.BytesIO(PICTURES[name])) as image:
        output = io.BytesIO()
        image.save(output, "JPEG", restart_marker_blocks=blocks)
    data = output.getvalue()
    assert jpeg.has_all_restarts(data)
    last = max(data.rfind(bytes((0xFF, 0xD0 + number))) for number in range(8))
    assert not jpeg.has_all_restarts(data[:last] + data[last + 2 :])
    assert not jpeg.has_all_restarts(PICTURES[name])


async def test_pictures_that_are_cut_short_are_used_if_that_is_configured() -> None:
    result = await JpegReader(WorkerPool(1), "off").read(PICTURES["large"][:-2000])
    assert result.data == PICTURES["large"][:-2000] + EOI
    assert result.repairs == (Repair.END,)


async def test_each_kind_of_repair_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader = JpegReader(WorkerPool(1), name="Cam")
    for data in (PLAIN[:-2], PLAIN + EOI, PLAIN[:-2], PLAIN, PICTURES["no tables"]):
        await reader.read(data)
    assert [record.getMessage() for record in caplog.records] == [
        "Cam: its pictures have no end marker; those that are whole get one",
        "Cam: other data follow its pictures; they are cut off",
    ]
