"""Joined files: made-up files of any shape, and those of FFmpeg as a player sees them."""

import json
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest

from agent_core.base import processes
from agent_core.base.errors import Unsupported
from agent_core.media.boxes import Damaged
from agent_core.media.downloads import Opened
from agent_core.media.fmp4 import segment_duration_s
from agent_core.media.joined_files import Layouts, ServedJoin
from agent_core.media.joining import Layout, Piece, Shift, description, edited, has_short_times, plan

from .files import H264, boxes, half_second_parts, make, plays, source

SEEDS = range(30)


def box(kind: bytes, *parts: bytes, wide: bool = False) -> bytes:
    body = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


@dataclass
class Made:
    """A made-up file: what is in its parts, and what it is made of. Track 1 is video, track 2 sound."""

    random: random.Random
    timescales: tuple[int, int] = (90_000, 48_000)
    codec: bytes = b"avc1"
    media: list[bytes] = field(default_factory=list)
    parts: int = 0
    most_parts: int = 5

    def content(self, *, short: bool, absolute: bool) -> bytes:
        starts = [self.random.randrange(1000) for _ in self.timescales]
        data, sequence = self._head(), self.random.randrange(1, 1000)
        for _ in range(self.random.randint(1, self.most_parts)):
            data += self.random.choice(
                [b"", box(b"free", b"moof" * 3), box(b"styp", b"msdh"), box(b"sidx", bytes(20))]
            )
            lengths = [self.random.randrange(1, 4 * scale) for scale in self.timescales]
            data += self._part(len(data), sequence, starts, lengths, short=short, absolute=absolute)
            starts = [start + length for start, length in zip(starts, lengths, strict=True)]
            sequence += 1
        return data + self.random.choice([b"", box(b"mfra", bytes(30)), b"\0\0\1\0moof torn"])

    def _head(self) -> bytes:
        tracks = [
            box(
                b"trak",
                full(b"tkhd", 0, 3, struct.pack(">IIIII", 0, 0, number, 0, 0), bytes(60)),
                box(
                    b"mdia",
                    full(b"mdhd", 0, 0, struct.pack(">IIII", 0, 0, scale, 0), bytes(4)),
                    full(b"hdlr", 0, 0, bytes(4), b"vide" if number == 1 else b"soun", bytes(13)),
                    box(
                        b"minf",
                        box(b"stbl", full(b"stsd", 0, 0, struct.pack(">I", 1), box(self.codec, b"x"))),
                    ),
                ),
            )
            for number, scale in enumerate(self.timescales, 1)
        ]
        extends = [full(b"trex", 0, 0, struct.pack(">IIIII", n, 1, 0, 0, 0)) for n in (1, 2)]
        note = box(b"free", self.random.randbytes(self.random.randrange(9)))
        movie = full(b"mvhd", 0, 0, struct.pack(">IIII", 0, 0, 1000, self.random.randrange(9999)), bytes(80))
        return box(b"ftyp", b"isom") + box(b"moov", movie, note, *tracks, box(b"mvex", *extends))

    def _part(
        self, at: int, number: int, starts: list[int], lengths: list[int], *, short: bool, absolute: bool
    ) -> bytes:
        tracks = [
            box(
                b"traf",
                full(b"tfhd", 0, 1, struct.pack(">IQ", n, at))
                if absolute
                else full(b"tfhd", 0, 0x20000, struct.pack(">I", n)),
                full(b"tfdt", 0, 0, struct.pack(">I", starts[n - 1]))
                if short
                else full(b"tfdt", 1, 0, struct.pack(">Q", starts[n - 1])),
                full(b"trun", 0, 0x100, struct.pack(">II", 1, lengths[n - 1])),
            )
            for n in (1, 2)
        ]
        self.media.append(self.random.randbytes(self.random.randrange(3000)))
        self.parts += 1
        mdat = box(b"mdat", self.media[-1], wide=self.random.random() < 0.3)
        return box(b"moof", full(b"mfhd", 0, 0, struct.pack(">I", number)), *tracks) + mdat


@dataclass(frozen=True)
class Part:
    """What a part of a file says, read here on our own."""

    sequence: int
    starts_s: dict[int, Fraction]
    ends_s: dict[int, Fraction]
    base_offsets: tuple[int, ...]
    at: int


def inner(data: bytes, kind: bytes) -> Iterator[int]:
    """Where the payloads of the boxes of that kind are, in a moof, in which media cannot be mistaken for one."""
    at = data.find(kind)
    while at != -1:
        yield at + 4
        at = data.find(kind, at + 4)


def parts_of(data: bytes, timescales: tuple[int, int]) -> list[Part]:
    found = []
    for kind, at, end in top_level(data):
        if kind != b"moof":
            continue
        moof = data[at:end]
        starts, ends, bases = {}, {}, []
        for head, time, run in zip(
            inner(moof, b"tfhd"), inner(moof, b"tfdt"), inner(moof, b"trun"), strict=True
        ):
            track = struct.unpack_from(">I", moof, head + 4)[0]
            if moof[head + 3] & 1:
                bases.append(struct.unpack_from(">Q", moof, head + 8)[0])
            start = struct.unpack_from(">Q" if moof[time] else ">I", moof, time + 4)[0]
            scale = timescales[track - 1]
            starts[track] = Fraction(start, scale)
            ends[track] = Fraction(start + struct.unpack_from(">I", moof, run + 8)[0], scale)
        (sequence,) = (struct.unpack_from(">I", moof, each + 4)[0] for each in inner(moof, b"mfhd"))
        found.append(Part(sequence, starts, ends, tuple(bases), at))
    return found


def top_level(data: bytes) -> list[tuple[bytes, int, int]]:
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = struct.unpack_from(">Q", data, at + 8)[0] if size == 1 else size
        found.append((kind, at, at + size))
        at += size
    return found


def joined(folder: Path, *names: str) -> Opened:
    opened = ServedJoin(folder, names, "whole.mp4", Layouts()).open()
    assert opened is not None
    return opened


def whole(opened: Opened, chunk_bytes: int = 1 << 18) -> bytes:
    data = b""
    while chunk := opened.read(len(data), min(chunk_bytes, opened.size_bytes - len(data))):
        data += chunk
    return data


@pytest.mark.parametrize("seed", SEEDS)
def test_the_parts_follow_each_other_whatever_the_files_are_like(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    files = [Made(rng) for _ in range(rng.randrange(1, 5))]
    short, absolute = rng.random() < 0.3, rng.random() < 0.3
    names = [f"{number}.mp4" for number in range(len(files))]
    for name, each in zip(names, files, strict=True):
        (tmp_path / name).write_bytes(each.content(short=short, absolute=absolute))
    with joined(tmp_path, *names) as opened:
        data = whole(opened, rng.randrange(20, 2000))
        assert len(data) == opened.size_bytes
        for _ in range(20):  # any range, in any order, has the bytes of the whole
            at = rng.randrange(len(data))
            some = opened.read(at, rng.randrange(1, 3000))
            assert some
            assert some == data[at : at + len(some)]
    kinds = [kind for kind, _, _ in top_level(data)]
    assert kinds.count(b"moov") == 1
    assert not {b"mfra", b"sidx"} & set(kinds)
    media = [data[start:end] for kind, start, end in top_level(data) if kind == b"mdat"]
    assert [each[16 if each[3] == 1 else 8 :] for each in media] == [
        one for each in files for one in each.media
    ]
    check_times(parts_of(data, files[0].timescales), files, names, tmp_path)


def check_times(parts: list[Part], files: list[Made], names: list[str], folder: Path) -> None:
    assert len(parts) == sum(each.parts for each in files)
    numbers = [each.sequence for each in parts]
    assert numbers == list(range(numbers[0], numbers[0] + len(parts)))
    done = 0
    for name, file in zip(names, files, strict=True):
        own = parts_of((folder / name).read_bytes().partition(b"\0\0\1\0moof torn")[0], file.timescales)
        placed = parts[done : done + file.parts]
        if done:
            gaps = [placed[0].starts_s[track] - parts[done - 1].ends_s[track] for track in (1, 2)]
            assert min(gaps) >= 0
            first_s, last_s = min(placed[0].starts_s.values()), max(parts[done - 1].ends_s.values())
            assert 0 <= first_s - last_s < Fraction(1, min(file.timescales))
        for one, other in zip(own, placed, strict=True):
            for track in (1, 2):
                since_s = one.starts_s[track] - own[0].starts_s[track]
                assert other.starts_s[track] - placed[0].starts_s[track] == since_s
            assert all(base == other.at for base in other.base_offsets)
        done += file.parts


def test_files_of_different_codecs_are_not_joined(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", b"avc1"), ("b.mp4", b"hvc1")):
        made = Made(random.Random(1), codec=codec)
        (tmp_path / name).write_bytes(made.content(short=False, absolute=False))
    with pytest.raises(Unsupported) as caught:
        joined(tmp_path, "a.mp4", "b.mp4")
    assert (caught.value.reason, caught.value.feature) == ("segments_differ", "joined_recording")
    assert "download_url" in str(caught.value.suggestion)


def test_times_that_do_not_fit_are_not_cut(tmp_path: Path) -> None:
    names = [f"{number}.mp4" for number in range(9)]
    for name in names:
        made = Made(random.Random(1), timescales=(90_000, 0x3FFF_0000), most_parts=1)
        (tmp_path / name).write_bytes(made.content(short=True, absolute=False))
    assert joined(tmp_path, names[0]).size_bytes
    with pytest.raises(Unsupported) as caught:
        joined(tmp_path, *names)
    assert caught.value.reason == "recording_too_long"


def test_a_damaged_file_is_left_out_and_a_missing_one_is_not_hidden(tmp_path: Path) -> None:
    made = Made(random.Random(1))
    (tmp_path / "a.mp4").write_bytes(made.content(short=False, absolute=False))
    (tmp_path / "b.mp4").write_bytes(b"not a film")
    with joined(tmp_path, "b.mp4", "a.mp4") as both, joined(tmp_path, "a.mp4") as alone:
        assert whole(both) == whole(alone)
    assert ServedJoin(tmp_path, ("b.mp4",), "whole.mp4", Layouts()).open() is None
    assert ServedJoin(tmp_path, ("a.mp4", "c.mp4"), "whole.mp4", Layouts()).open() is None


@pytest.mark.parametrize("seed", range(200))
def test_damage_stops_a_download_and_nothing_else(tmp_path: Path, seed: int) -> None:
    """Bytes that are wrong anywhere: no more than the announced bytes, and no error that is a bug."""
    rng = random.Random(seed)
    names = ["a.mp4", "b.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(
            Made(rng).content(short=rng.random() < 0.5, absolute=rng.random() < 0.5)
        )
    damaged = tmp_path / rng.choice(names)
    data = bytearray(damaged.read_bytes())
    for _ in range(rng.randrange(1, 6)):
        # Mostly where it hurts: the header and the beginnings of boxes.
        at = rng.choice(
            [rng.randrange(len(data)), data.find(rng.choice([b"moof", b"mdat", b"mvhd", b"tfdt"])) - 4]
        )
        data[max(at, 0) : max(at, 0) + 4] = rng.choice([rng.randbytes(4), b"\0\0\0\1", b"\xff" * 4])
    damaged.write_bytes(data)
    try:
        opened = ServedJoin(tmp_path, ("a.mp4", "b.mp4"), "whole.mp4", Layouts()).open()
    except Unsupported:
        return
    if opened is not None:
        with opened:
            assert len(whole(opened)) <= opened.size_bytes


def test_a_file_that_is_replaced_ends_the_download(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(Made(random.Random(1)).content(short=False, absolute=False))
    with joined(tmp_path, "a.mp4", "b.mp4") as opened:
        (tmp_path / "b.mp4").rename(tmp_path / "kept.mp4")
        (tmp_path / "b.mp4").write_bytes((tmp_path / "kept.mp4").read_bytes())
        assert 0 < len(whole(opened)) < opened.size_bytes


def test_the_tag_changes_with_any_file(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(Made(random.Random(1)).content(short=False, absolute=False))
    with joined(tmp_path, "a.mp4", "b.mp4") as one, joined(tmp_path, "a.mp4", "b.mp4") as other:
        assert one.etag == other.etag
    with (tmp_path / "b.mp4").open("ab") as file:
        file.write(bytes(8))
    with joined(tmp_path, "a.mp4", "b.mp4") as longer:
        assert longer.etag != one.etag


async def probed(path: Path) -> tuple[float, list[int]]:
    """The duration that FFmpeg's probe says, and the time stamps of all video packets."""
    probe = shutil.which("ffprobe")
    if probe is None:
        pytest.skip("ffprobe is not installed")
    asked = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=dts:format=duration"]
    done = await processes.run([probe, *asked, "-of", "json", str(path)])
    told = json.loads(done.stdout)
    return float(told["format"]["duration"]), [int(each["dts"]) for each in told["packets"]]


async def test_a_player_sees_one_film(tmp_path: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", "-shortest")
    names = ["1.mp4", "2.mp4", "3.mp4"]
    for name in names:
        await make(tmp_path / name, *source(10, 2), *sound, *H264, "-g", "5")
    with joined(tmp_path, *names) as opened:
        (tmp_path / "whole.mp4").write_bytes(whole(opened))
    assert await plays(tmp_path / "whole.mp4")
    assert segment_duration_s(tmp_path / "whole.mp4") == pytest.approx(6, abs=0.15)
    duration_s, stamps = await probed(tmp_path / "whole.mp4")
    assert duration_s == pytest.approx(6, abs=0.15)
    assert len(stamps) == 60
    assert stamps == sorted(set(stamps))


async def test_a_large_file_is_found_from_its_end_and_joined_as_a_whole(tmp_path: Path) -> None:
    """Beyond some megabytes the times are read from the end of the file, without the parts between."""
    await half_second_parts(tmp_path / "1.mp4")
    data = (tmp_path / "1.mp4").read_bytes()
    padding = struct.pack(">I4s", 5 << 20, b"free") + bytes((5 << 20) - 8)
    ends = [end for kind, _, end in boxes(data) if kind == b"mdat"]
    (tmp_path / "2.mp4").write_bytes(data[: ends[0]] + padding + data[ends[0] :])
    with joined(tmp_path, "2.mp4", "1.mp4") as opened:
        (tmp_path / "whole.mp4").write_bytes(whole(opened))
    assert await plays(tmp_path / "whole.mp4")
    _, stamps = await probed(tmp_path / "whole.mp4")
    assert len(stamps) == 80
    assert stamps == sorted(set(stamps))


SHIFT = Shift(ticks={1: 100, 0x8000_0001: 7}, sequence=5, offset_bytes=1000)


def moof(*fields: bytes, sequence: int = 3) -> bytes:
    return box(b"moof", full(b"mfhd", 0, 0, struct.pack(">I", sequence)), box(b"traf", *fields))


@pytest.mark.parametrize(("track", "expected"), [(1, 150), (2, 50), (0x8000_0001, 57)])
def test_the_times_of_each_track_have_a_shift_of_their_own(track: int, expected: int) -> None:
    def part(sequence: int, time: int, offset: int) -> bytes:
        head = full(b"tfhd", 0, 1, struct.pack(">IQ", track, offset))
        return moof(head, full(b"tfdt", 0, 0, struct.pack(">I", time)), sequence=sequence)

    assert edited(b"moof", part(3, 50, 20), SHIFT) == part(8, expected, 1020)


def test_times_of_no_track_stay() -> None:
    before = moof(full(b"tfdt", 0, 0, struct.pack(">I", 50)))
    after = edited(b"moof", before, SHIFT)
    assert after[-4:] == before[-4:]


@pytest.mark.parametrize("kind", [b"sidx", b"ssix", b"mfra"])
def test_an_index_becomes_free_space_of_its_size(kind: bytes) -> None:
    assert edited(kind, box(kind, b"offsets"), SHIFT) == box(b"free", b"offsets")
    assert edited(b"mdat", box(b"mdat", b"media"), SHIFT) == box(b"mdat", b"media")


def movie_head(version: int, *, durations: dict[bytes, int], codec: bytes = b"avc1", track: int = 1) -> bytes:
    """A header in which each box of `durations` has that duration."""
    number = ">Q" if version else ">I"

    def timed(kind: bytes, *before: int) -> bytes:
        fields = [struct.pack(">I", each) for each in before]
        wide = [bytes(8) if version else bytes(4)] * 2 if kind != b"mehd" else []
        return full(kind, version, 7, *wide, *fields, struct.pack(number, durations[kind]), b"\7" * 60)

    media = box(
        b"mdia",
        timed(b"mdhd", 90_000),
        full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(13)),
        box(b"minf", box(b"stbl", full(b"stsd", 0, 0, struct.pack(">I", 1), box(codec, b"x")))),
    )
    extends = box(b"mvex", timed(b"mehd"), full(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, 0)))
    trak = box(b"trak", timed(b"tkhd", track, 0xABCD), media)
    return box(b"ftyp", b"isom") + box(b"moov", box(b"free", b"x"), timed(b"mvhd", 1000), trak, extends)


def layout(head: bytes, end_ticks: int, *, short: bool = False) -> Layout:
    return Layout(
        head=head,
        description=b"the same",
        timescales={1: 90_000},
        spans={1: (0, end_ticks)},
        end_offset=len(head) + 100,
        sequences=(1, 1),
        has_short_times=short,
    )


#: 10.0006 s in the units of each box: those of the movie, and those of the track.
WHOLE = {b"mvhd": 10_001, b"mehd": 10_001, b"tkhd": 10_001, b"mdhd": 900_054}


@pytest.mark.parametrize("version", [0, 1])
def test_the_header_has_the_duration_of_the_whole_where_it_had_one(version: int) -> None:
    ones = dict.fromkeys(WHOLE, 1)
    for before in (ones, *(ones | {kind: 0} for kind in WHOLE), dict.fromkeys(WHOLE, 0)):
        expected = {kind: WHOLE[kind] if before[kind] or kind == b"mvhd" else 0 for kind in WHOLE}
        joined_head = plan([layout(movie_head(version, durations=before), 900_054)]).head
        assert joined_head == movie_head(version, durations=expected)


def test_a_duration_that_does_not_fit_is_the_largest_that_does() -> None:
    ones = dict.fromkeys(WHOLE, 1)
    fits = {b"mvhd": 47_721_859, b"mehd": 47_721_859, b"tkhd": 47_721_859, b"mdhd": (1 << 32) - 1}
    for end_ticks in ((1 << 32) - 1, 1 << 32, (1 << 32) + 9):
        joined_head = plan([layout(movie_head(0, durations=ones), end_ticks)]).head
        assert joined_head == movie_head(0, durations=fits)


def test_short_times_fit_up_to_their_last_tick() -> None:
    head = movie_head(0, durations=dict.fromkeys(WHOLE, 1))
    assert plan([layout(head, (1 << 32) - 1, short=True)]).pieces
    assert plan([layout(head, 1 << 32, short=False)]).pieces
    with pytest.raises(Unsupported):
        plan([layout(head, 1 << 32, short=True)])


def moov_of(head: bytes) -> bytes:
    return head[head.index(b"moov") + 4 :]


def test_a_description_is_about_the_samples_alone() -> None:
    ones = dict.fromkeys(WHOLE, 1)
    same = description(moov_of(movie_head(0, durations=ones)))
    assert same == description(moov_of(movie_head(0, durations=WHOLE)))
    assert same == description(moov_of(movie_head(1, durations=WHOLE)))
    assert same != description(moov_of(movie_head(0, durations=ones, codec=b"hvc1")))
    assert same != description(moov_of(movie_head(0, durations=ones, track=2)))
    for before, after in ((90_000, 90_001), (b"vide", b"soun"), (b"stsd", b"free"), (b"trex", b"free")):
        one, other = (struct.pack(">I", each) if isinstance(each, int) else each for each in (before, after))
        changed = movie_head(0, durations=ones).replace(one, other)
        assert same != description(moov_of(changed)), before


@pytest.mark.parametrize(
    ("kind", "version", "size_bytes"),
    [
        (b"mvhd", 0, 20),
        (b"mvhd", 1, 32),
        (b"tkhd", 0, 24),
        (b"tkhd", 1, 36),
        (b"mdhd", 0, 20),
        (b"mehd", 0, 8),
        (b"mehd", 1, 12),
    ],
)
def test_a_box_without_room_for_its_duration_is_damage(kind: bytes, version: int, size_bytes: int) -> None:
    description(full(kind, version, 0, bytes(size_bytes - 4)))
    with pytest.raises(Damaged):
        description(full(kind, version, 0, bytes(size_bytes - 5)))


@pytest.mark.parametrize(("version", "expected"), [(0, True), (1, False)])
def test_the_version_of_the_times_tells_if_they_are_short(version: int, expected: bool) -> None:
    part = moof(full(b"tfhd", 0, 0, bytes(4)), full(b"tfdt", version, 0, bytes(8)))
    assert has_short_times(part[8:]) is expected
    assert not has_short_times(moof(full(b"tfhd", 0, 0, bytes(4)))[8:])


def test_sequence_numbers_wrap() -> None:
    assert edited(b"moof", moof(sequence=(1 << 32) - 1), SHIFT) == moof(sequence=4)


def test_the_first_file_stays_as_it_is() -> None:
    """Also if it begins late, or in the middle of a numbering."""
    head = movie_head(0, durations=dict.fromkeys(WHOLE, 1))
    late = replace(layout(head, 900_000), spans={1: (90_000, 900_000)}, sequences=(7, 9))
    first, second = plan([late, late]).pieces
    assert first == Piece(0, len(head), len(head), len(head) + 100, Shift({1: 0}, 0, 0))
    assert second == Piece(1, len(head) + 100, len(head), len(head) + 100, Shift({1: 810_000}, 3, 100))


def test_a_track_and_its_clock_are_part_of_the_description() -> None:
    head = movie_head(0, durations=dict.fromkeys(WHOLE, 1))
    one, other = (struct.pack(">II", track, 0xABCD) for track in (1, 2))
    assert head.count(one) == 1, "of tkhd alone"
    assert description(moov_of(head)) != description(moov_of(head.replace(one, other)))
    long = movie_head(0, durations=dict.fromkeys(WHOLE, 0x7FFF_FFFF))
    assert description(moov_of(head)) == description(moov_of(long))
