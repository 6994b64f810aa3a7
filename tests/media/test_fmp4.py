"""The length of fragmented MP4 files that FFmpeg writes: whole, torn at any place, growing, large, damaged."""

import os
import struct
from pathlib import Path

import anyio
import pytest

from agent_core.base import processes
from agent_core.base.errors import StorageFailed
from agent_core.media import fmp4
from agent_core.media.fmp4 import Fmp4Info, Fmp4Reader, is_finished, segment_duration_s
from agent_core.plugin import ffmpeg

from .files import FRAGMENTED, H264, boxes, half_second_parts, make, source


@pytest.mark.parametrize("fps", [5, 15, 30])
async def test_the_length_is_that_of_the_frames(tmp_path: Path, fps: int) -> None:
    path = await make(tmp_path / "a.mp4", *source(fps, 4), *H264, "-g", str(max(1, fps // 2)))
    assert segment_duration_s(path) == pytest.approx(4.0, abs=0.001)


async def test_a_varying_rate_is_measured_by_the_clock_not_by_counting(tmp_path: Path) -> None:
    # 30 fps for 2 s, 5 fps for 2 s, 15 fps for 2 s; the last frame is taken to be as long as the one before.
    keep = "lt(t,2)+between(t,2,4)*not(mod(n,6))+gt(t,4)*not(mod(n,2))"
    path = await make(
        tmp_path / "a.mp4", *source(30, 6), "-vf", f"select='{keep}'", "-fps_mode", "vfr", *H264, "-g", "10"
    )
    assert segment_duration_s(path) == pytest.approx(6.0, abs=0.1)


async def test_the_headers_own_duration_is_not_believed(tmp_path: Path) -> None:
    path = await half_second_parts(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"mvhd")
    struct.pack_into(">I", data, at + 20, 999_999)
    path.write_bytes(data)
    assert segment_duration_s(path) == pytest.approx(4.0, abs=0.001)


async def test_the_length_is_relative_to_the_first_sample(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.mp4", *source(10, 4), *H264, "-g", "5", "-output_ts_offset", "1000")
    assert segment_duration_s(path) == pytest.approx(4.0, abs=0.001)


async def test_video_decides_where_there_is_sound_too(tmp_path: Path) -> None:
    path = await make(
        tmp_path / "a.mp4", "-f", "lavfi", "-i", "sine=duration=6", *source(10, 3), *H264, "-c:a", "aac"
    )
    assert segment_duration_s(path) == pytest.approx(3.0, abs=0.03)  # AAC starts a packet early


async def test_sound_alone_has_a_length(tmp_path: Path) -> None:
    path = await make(
        tmp_path / "a.mp4", "-f", "lavfi", "-i", "sine=duration=3", "-c:a", "aac", "-frag_duration", "500000"
    )
    assert segment_duration_s(path) == pytest.approx(3.0, abs=0.1)


async def test_a_torn_file_ends_with_its_last_complete_part(tmp_path: Path) -> None:
    whole = (await half_second_parts(tmp_path / "whole.mp4")).read_bytes()
    ends = [end for kind, _, end in boxes(whole) if kind == b"mdat"]
    assert len(ends) == 8
    torn = tmp_path / "torn.mp4"
    places = {
        at + off
        for _, start, end in boxes(whole)
        for at in (start, end)
        for off in (-1, 0, 1, 4, 7, 8, 9, 16, 40)
    }
    for size in sorted(
        {min(max(place, 0), len(whole)) for place in places} | set(range(0, len(whole), 2003))
    ):
        torn.write_bytes(whole[:size])
        info = Fmp4Reader(torn).update()
        parts = sum(end <= size for end in ends)
        assert info.duration_s == pytest.approx(parts * 0.5, abs=0.001), size
        assert info.has_media is (parts > 0)
        assert info.size_bytes == size
        if parts:
            assert info.unread_bytes == size - max(end for end in [*ends, len(whole)] if end <= size)


async def test_a_growing_file_is_followed_byte_by_byte(tmp_path: Path) -> None:
    """One reader over all states has to agree, at each, with a reader that has never seen the file."""
    whole = (await half_second_parts(tmp_path / "whole.mp4")).read_bytes()
    growing = tmp_path / "growing.mp4"
    growing.touch()
    follower = Fmp4Reader(growing)
    with growing.open("ab", buffering=0) as file:
        for start in range(0, len(whole), 331):
            file.write(whole[start : start + 331])
            assert follower.update() == Fmp4Reader(growing).update()
    assert follower.update().duration_s == pytest.approx(4.0, abs=0.001)


async def test_a_file_can_be_read_while_ffmpeg_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    argv = [ffmpeg.locate(), *ffmpeg.QUIET, "-re", *source(10, 60), *H264, "-g", "5", "-flush_packets", "1"]
    async with processes.child([*argv, *FRAGMENTED, str(path)]):
        with anyio.fail_after(30):
            while not path.exists():
                await anyio.sleep(0.02)
            reader, lengths = Fmp4Reader(path), [0.0]
            while lengths[-1] < 1.9:
                await anyio.sleep(0.02)
                lengths.append(reader.update().duration_s)
    assert lengths == sorted(lengths)
    assert len(set(lengths)) >= 4
    # Killed with -9: what was complete stays.
    assert Fmp4Reader(path).update().duration_s >= lengths[-1]


async def test_appended_bytes_are_the_only_ones_read(tmp_path: Path) -> None:
    path = await half_second_parts(tmp_path / "a.mp4")
    reader = Fmp4Reader(path)
    before = reader.update()
    with path.open("r+b") as file:  # what has been read once may become anything
        file.write(bytes(before.size_bytes))
    assert reader.update() == before


async def test_a_replaced_or_shortened_file_is_read_anew(tmp_path: Path) -> None:
    path = await half_second_parts(tmp_path / "a.mp4")
    reader = Fmp4Reader(path)
    reader.update()
    other = await half_second_parts(tmp_path / "b.mp4", duration_s=2)
    other.replace(path)
    assert reader.update().duration_s == pytest.approx(2.0, abs=0.001)
    longer = await half_second_parts(tmp_path / "c.mp4", duration_s=6)
    longer.replace(path)
    assert reader.update().duration_s == pytest.approx(6.0, abs=0.001)
    path.write_bytes(b"")
    assert reader.update() == Fmp4Info()


async def _repeated(path: Path, times: int, *arguments: str) -> Path:
    """What `arguments` make, so many times in a row: less to encode."""
    once = await make(path.with_suffix(".once.mp4"), *arguments)
    return await make(path, "-stream_loop", str(times - 1), "-i", str(once), "-c", "copy")


async def _large(path: Path) -> Path:
    noise = "testsrc2=size=640x480:rate=10:duration=2,noise=alls=60:allf=t"
    return await _repeated(path, 15, "-f", "lavfi", "-i", noise, *H264, "-qp", "18", "-g", "5")


async def test_a_large_file_is_read_at_its_ends_only(tmp_path: Path) -> None:
    path = await _large(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    middle = range(len(data) // 3, len(data) // 2)
    assert len(data) > 3 * fmp4._WALK_LIMIT_BYTES  # otherwise this shows nothing
    data[middle.start : middle.stop] = bytes(len(middle))  # would stop a walk
    path.write_bytes(data)
    reader = Fmp4Reader(path)
    assert reader.update().duration_s == pytest.approx(30.0, abs=0.001)
    with path.open("ab") as file:
        file.write(b"\x00\x00\x10\x00moof")
    assert reader.update().unread_bytes == 8


async def test_a_large_torn_file_ends_with_its_last_complete_part(tmp_path: Path) -> None:
    path = await _large(tmp_path / "a.mp4")
    data = path.read_bytes()
    ends = [end for kind, _, end in boxes(data) if kind == b"mdat"]
    for cut in (ends[-1] - 1, ends[-2] + 5, ends[-3] - 100, ends[-9] + 30):
        path.write_bytes(data[:cut])
        parts = sum(end <= cut for end in ends)
        assert segment_duration_s(path) == pytest.approx(parts * 0.5, abs=0.001)


async def test_a_part_larger_than_the_window_is_still_found(tmp_path: Path) -> None:
    noise = "testsrc2=size=1280x720:rate=10:duration=4,noise=alls=100:allf=t"
    path = await _repeated(tmp_path / "a.mp4", 3, "-f", "lavfi", "-i", noise, *H264, "-qp", "4", "-g", "40")
    sizes = [end - start for kind, start, end in boxes(path.read_bytes()) if kind == b"mdat"]
    assert min(sizes) > 4 * fmp4._TAIL_WINDOW_BYTES  # otherwise this shows nothing
    assert segment_duration_s(path) == pytest.approx(12.0, abs=0.001)


async def test_damage_ends_the_reading_not_the_reader(tmp_path: Path) -> None:
    whole = (await half_second_parts(tmp_path / "a.mp4")).read_bytes()
    third = [start for kind, start, _ in boxes(whole) if kind == b"moof"][2]
    for damage in (b"\x00\x00\x00\x03", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"):
        path = tmp_path / "damaged.mp4"
        path.write_bytes(whole[:third] + damage + whole[third + 4 :])
        assert segment_duration_s(path) == pytest.approx(1.0, abs=0.001)


async def test_any_single_damaged_byte_of_the_index_is_survived(tmp_path: Path) -> None:
    whole = (await half_second_parts(tmp_path / "a.mp4")).read_bytes()
    first_mdat = next(start for kind, start, _ in boxes(whole) if kind == b"mdat")
    path = tmp_path / "damaged.mp4"
    for at in range(8, first_mdat, 3):
        for value in (0x00, 0xFF):
            data = bytearray(whole)
            data[at] = value
            path.write_bytes(data)
            assert segment_duration_s(path) >= 0.0


def test_boxes_in_boxes_without_end_are_damage(tmp_path: Path) -> None:
    box = b""
    for _ in range(5000):
        box = struct.pack(">I4s", 8 + len(box), b"trak") + box
    path = tmp_path / "nested.mp4"
    path.write_bytes(struct.pack(">I4s", 8 + len(box), b"moov") + box)
    assert segment_duration_s(path) == 0.0


async def test_a_plain_mp4_has_no_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    await ffmpeg.run(ffmpeg.locate(), ["-y", *source(10, 1), *H264, str(path)])
    info = Fmp4Reader(path).update()
    assert (info.has_media, info.duration_s) == (False, 0.0)


def test_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not an MP4 file at all")
    with pytest.raises(StorageFailed) as caught:
        segment_duration_s(path)
    assert caught.value.reason == "not_fmp4"


def test_a_file_that_is_gone_or_not_a_file_is_said_to_be(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(StorageFailed) as caught:
            segment_duration_s(path)
        assert str(tmp_path) not in caught.value.details


#: Of mvhd after its type: the bytes of the duration, by version.
_DURATIONS = {0: range(16, 20), 1: range(24, 32)}


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_is_finished_by_the_bytes_of_the_duration_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.mp4"
    place = _DURATIONS[version]
    others = bytearray([version, *[0xFF] * 31])
    others[place.start : place.stop] = bytes(len(place))
    path.write_bytes(bytes(28) + b"mvhd" + others + b"\xff" * 9)
    assert not is_finished(path)
    for at in place:
        only = bytearray([version, *[0] * 31])
        only[at] = 1
        path.write_bytes(b"mvhd" + only)
        assert is_finished(path), at
        path.write_bytes(b"mvhd" + only[:-1])
        assert not is_finished(path), "it is shorter than the header"


def test_without_the_header_of_a_movie_no_file_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert not is_finished(path)
    path.write_bytes(bytes(64))
    assert not is_finished(path)
    path.write_bytes(b"\xff" * 64)
    assert not is_finished(path)
    path.write_bytes(bytes(3) + b"\0" + b"\1" * 64)
    assert not is_finished(path)
    path.write_bytes(b"mvhd" + bytes(32) + b"mvhd" + b"\1" * 40)
    assert not is_finished(path), "the first header counts"
    path.write_bytes(bytes(8192) + b"mvhd" + b"\1" * 40)
    assert not is_finished(path), "no header stands so far from the start"


async def test_decode_times_that_begin_late_do_not_lengthen_it(tmp_path: Path) -> None:
    path = await half_second_parts(tmp_path / "a.mp4")
    data, at = bytearray(path.read_bytes()), 0
    while (at := data.find(b"tfdt", at) + 4) >= 4:
        wide = 8 if data[at] else 4
        place = slice(at + 4, at + 4 + wide)
        data[place] = (int.from_bytes(data[place]) + 1_000_000).to_bytes(wide)
    path.write_bytes(data)
    assert segment_duration_s(path) == pytest.approx(4.0, abs=0.001)


class Pieces:
    """Parts of a file that FFmpeg wrote, to be put together anew; an mdat may be of any size."""

    def __init__(self, whole: bytes) -> None:
        found = boxes(whole)
        first = next(start for kind, start, _ in found if kind == b"moof")
        self.head = whole[:first]
        self._moofs = [whole[start:end] for kind, start, end in found if kind == b"moof"]
        self._mdats = [whole[start:end] for kind, start, end in found if kind == b"mdat"]

    def part(self, number: int, size_bytes: int = 0, between: bytes = b"") -> bytes:
        """Part `number`, of at least that size."""
        moof, media = self._moofs[number], self._mdats[number][8:]
        media += bytes(max(0, size_bytes - len(moof) - 8 - len(media)))
        return moof + between + struct.pack(">I4s", 8 + len(media), b"mdat") + media


#: Where a walk ends: no box begins with zeros.
DAMAGE = bytes(5 << 20)
MIB = 1 << 20


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


@pytest.fixture
async def pieces(tmp_path: Path) -> Pieces:
    return Pieces((await half_second_parts(tmp_path / "pieces.mp4")).read_bytes())


def parts_read(path: Path, *data: bytes) -> float:
    """Half-second parts up to the last one that is found in these bytes."""
    path.write_bytes(b"".join(data))
    return 2 * segment_duration_s(path)


async def test_the_last_parts_are_found_behind_damage(tmp_path: Path, pieces: Pieces) -> None:
    path, before = tmp_path / "a.mp4", (pieces.head, pieces.part(0), DAMAGE)
    for tail, count in (
        ([pieces.part(6)], 7),
        ([pieces.part(5), pieces.part(6)], 7),
        ([pieces.part(6), box(b"free")], 7),  # an empty box has a size as well
        ([box(b"free", bytes(90)), pieces.part(6), box(b"mfra", bytes(9))], 7),
        ([box(b"free", b"mfhd and mfhd"), pieces.part(6)], 7),
        ([pieces.part(5), pieces.part(6)[:-1]], 6),
        ([box(b"free", b"mfhd and mfhd"), pieces.part(5), pieces.part(6)[:-1]], 6),
        ([pieces.part(5), pieces.part(6)[:40]], 6),
        ([pieces.part(6)[:-1]], 1),
        ([pieces.part(5), box(b"what", bytes(90))], 1),  # not a chain of boxes of this format
        ([pieces.part(5), box(b"what", bytes(90)), pieces.part(6)], 7),
        ([pieces.part(5), struct.pack(">I4s", 7, b"free"), bytes(90)], 1),
        ([pieces.part(5), struct.pack(">I4s", 7, b"free"), pieces.part(6)], 7),
    ):
        assert parts_read(path, *before, *tail) == pytest.approx(count, abs=0.001), (tail, count)


@pytest.mark.parametrize(
    ("size_bytes", "count"), [(MIB, 7), (3 * MIB, 7), (40 * MIB, 7), (64 * MIB, 7), (65 * MIB, 1)]
)
async def test_the_windows_in_which_the_last_parts_are_searched_have_a_limit(
    tmp_path: Path, pieces: Pieces, size_bytes: int, count: int
) -> None:
    path, part = tmp_path / "a.mp4", pieces.part(6, size_bytes)
    with path.open("wb") as file:
        file.write(pieces.head + pieces.part(0))
        file.seek(70 * MIB, os.SEEK_CUR)  # where a walk ends
        file.write(part[: 64 << 10])
        file.truncate(file.tell() + len(part) - (64 << 10))
    assert segment_duration_s(path) == pytest.approx(count / 2, abs=0.001)


@pytest.mark.parametrize("at", range(13))
async def test_bytes_like_a_part_at_the_edge_of_a_window_are_none(
    tmp_path: Path, pieces: Pieces, at: int
) -> None:
    part = pieces.part(6)
    tail = bytes(at) + b"mfhd" + bytes(MIB - at - 4 - len(part)) + part
    found = parts_read(tmp_path / "a.mp4", pieces.head, pieces.part(0), DAMAGE, tail)
    assert found == pytest.approx(7, abs=0.001)


async def test_a_torn_last_part_alone_in_a_window_hides_none_before_it(
    tmp_path: Path, pieces: Pieces
) -> None:
    large = [pieces.part(number, 3 * MIB // 2) for number in range(1, 7)]
    data = (pieces.head, pieces.part(0), *large[:-1], large[-1][: 9 * MIB // 10])
    assert parts_read(tmp_path / "a.mp4", *data) == pytest.approx(6, abs=0.001)


async def test_a_short_unread_rest_is_walked_and_a_long_one_is_not(tmp_path: Path, pieces: Pieces) -> None:
    path, tail = tmp_path / "a.mp4", pieces.part(6)
    for unread_bytes, count in ((4 * MIB, 1), (4 * MIB + 1, 7)):
        damage = bytes(unread_bytes - len(tail))
        found = parts_read(path, pieces.head, pieces.part(0), damage, tail)
        assert found == pytest.approx(count, abs=0.001)


async def test_no_window_is_larger_than_what_is_unread(tmp_path: Path, pieces: Pieces) -> None:
    parts = pieces.part(0, 11 * MIB // 2), pieces.part(1, 13 * MIB // 2)
    assert parts_read(tmp_path / "a.mp4", pieces.head, *parts) == pytest.approx(2, abs=0.001)


async def test_the_last_part_of_each_track_is_looked_for(tmp_path: Path) -> None:
    path, made = tmp_path / "a.mp4", []
    sound = ("-f", "lavfi", "-i", "sine=duration=4", "-c:a", "aac")
    for more in ("", "+separate_moof"):  # each part has both tracks, or one
        flags = ("-movflags", f"frag_keyframe+empty_moov+default_base_moof{more}", "-f", "mp4")
        argv = ["-y", *source(10, 4), *sound, *H264, "-g", "5", *flags, str(path)]
        await ffmpeg.run(ffmpeg.locate(), argv)
        made.append(Pieces(path.read_bytes()))
    both, (video, audio) = made[0], (made[1].part(14), made[1].part(15))
    for tail, is_found in (([video, audio], True), ([video], False), ([audio], False)):
        path.write_bytes(b"".join((both.head, both.part(0), DAMAGE, *tail)))
        assert segment_duration_s(path) == pytest.approx(4.0 if is_found else 0.5, abs=0.03)


async def test_a_part_counts_with_its_media_only(tmp_path: Path, pieces: Pieces) -> None:
    path, free = tmp_path / "a.mp4", box(b"free", bytes(30))
    whole = pieces.part(1, between=free)
    assert parts_read(path, pieces.head, pieces.part(0), whole[:-1]) == pytest.approx(1, abs=0.001)
    assert parts_read(path, pieces.head, pieces.part(0), whole) == pytest.approx(2, abs=0.001)
    assert parts_read(path, pieces.head, box(b"free"), pieces.part(0), box(b"free")) == pytest.approx(
        1, abs=0.001
    )


async def test_a_box_that_is_not_written_yet_is_read_later_and_damage_never(
    tmp_path: Path, pieces: Pieces
) -> None:
    path, start = tmp_path / "a.mp4", pieces.head + pieces.part(0)
    for unwritten in (bytes(30), pieces.part(1)[:5]):
        path.write_bytes(start + unwritten)
        reader = Fmp4Reader(path)
        assert reader.update().unread_bytes == len(unwritten)
        path.write_bytes(start + pieces.part(1))
        assert reader.update().duration_s == pytest.approx(1.0, abs=0.001)
    path.write_bytes(start + box(b"moof", box(b"traf", b"damage")) + pieces.part(1))
    reader = Fmp4Reader(path)
    assert reader.update().duration_s == pytest.approx(0.5, abs=0.001)
    with path.open("r+b") as file:
        file.seek(len(start) + 4)
        file.write(b"free")
    assert reader.update().duration_s == pytest.approx(0.5, abs=0.001), "it is not read again and again"


@pytest.mark.parametrize(("more_bytes", "is_damage"), [(0, False), (1, True)])
async def test_an_index_has_a_largest_size(
    tmp_path: Path, pieces: Pieces, more_bytes: int, is_damage: bool
) -> None:
    at = pieces.head.index(b"moov") - 4
    room = fmp4.INDEX_LIMIT_BYTES - (len(pieces.head) - at - 8) + more_bytes
    moov = box(b"moov", pieces.head[at + 8 :] + box(b"free", bytes(room - 8)))
    path = tmp_path / "a.mp4"
    assert parts_read(path, pieces.head[:at], moov, pieces.part(0)) == (0 if is_damage else 1)


async def test_the_media_of_a_file_end_where_its_reader_is_told(tmp_path: Path, pieces: Pieces) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(pieces.head + pieces.part(0) + pieces.part(1))
    end, whole = len(pieces.head + pieces.part(0)), path.stat().st_size
    with path.open("rb") as file:
        for size_bytes, parts in ((whole, 2), (whole - 1, 1), (end, 1)):
            media = fmp4.media_of(file.fileno(), size_bytes)
            assert media is not None
            assert (media.end_offset, media.last_sequence) == (whole if parts == 2 else end, parts)
            scale = media.movie.tracks[1].timescale
            assert media.spans == {1: (0, parts * scale // 2)}
        assert fmp4.media_of(file.fileno(), end - 1) is None
        assert fmp4.media_of(file.fileno(), len(pieces.head)) is None
