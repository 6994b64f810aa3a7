"""Bitstreams of H.264 and H.265, with FFmpeg's libraries as the judge of what they contain."""

import random
from itertools import pairwise

import av
import pytest

from agent_core.plugin import VideoCodec
from agent_core.plugin.video import (
    AccessUnits,
    AnnexBReader,
    BitstreamError,
    Configuration,
    ParameterSets,
    annex_b,
    configuration,
    h264,
    is_entry,
    length_prefixed,
    nal,
    without_lengths,
)
from agent_core.testing.coded_video import coded_pictures

H264, H265 = VideoCodec.H264, VideoCodec.H265
CODECS = pytest.mark.parametrize("codec", [H264, H265])
DECODERS = {H264: "h264", H265: "hevc"}
LIMIT_BYTES = 1 << 22


@pytest.fixture(scope="module")
def videos() -> dict[VideoCodec, tuple[bytes, ...]]:
    return {H264: coded_pictures(H264, 12, parameters="slices=3"), H265: coded_pictures(H265, 12)}


def decoder_of(codec: VideoCodec) -> av.VideoCodecContext:
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    return decoder


def units_of(data: bytes) -> tuple[bytes, ...]:
    reader = AnnexBReader()
    return (*reader.feed(data), reader.flush())


def assembled(codec: VideoCodec, buffers: list[bytes]) -> list[bytes | None]:
    """The pictures that the buffers make, with a delimiter after them, which ends the last one."""
    assembler = AccessUnits[int](codec, limit_bytes=LIMIT_BYTES)
    end = b"\x09\xf0" if codec is H264 else b"\x46\x01\x50"
    found = [each for number, data in enumerate(buffers) for each in assembler.feed(data, number)]
    found += assembler.feed(annex_b((end, end)), len(buffers))
    return [annex_b(each.units) if each else None for each in found]


def configured(codec: VideoCodec, pictures: tuple[bytes, ...]) -> Configuration:
    sets = ParameterSets(codec)
    sets.learn(units_of(pictures[0]))
    assert sets.configuration is not None
    return sets.configuration


@CODECS
@pytest.mark.parametrize("size", [(64, 48), (322, 242), (638, 362), (1920, 1080)])
def test_the_size_is_the_one_that_a_decoder_shows(codec: VideoCodec, size: tuple[int, int]) -> None:
    pictures = coded_pictures(codec, 1, size=size)
    found = configured(codec, pictures)
    decoder = decoder_of(codec)
    (shown, *_) = [*decoder.decode(av.Packet(pictures[0])), *decoder.decode(None)]
    assert (found.width, found.height) == size == (shown.width, shown.height)


@CODECS
def test_a_decoder_takes_the_configuration_and_units_with_lengths(
    codec: VideoCodec, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = videos[codec]
    plain = decoder_of(codec)
    wanted = [
        frame.to_ndarray().tobytes()
        for data in (*pictures, None)
        for frame in plain.decode(av.Packet(data) if data else None)
    ]
    stored = decoder_of(codec)
    stored.extradata = configured(codec, pictures).record
    shown = []
    for data in (*pictures, None):
        slices = [unit for unit in units_of(data) if nal.is_slice(codec, unit)] if data else []
        packet = av.Packet(length_prefixed(slices)) if data else None
        shown += [frame.to_ndarray().tobytes() for frame in stored.decode(packet)]
    assert len(shown) == len(pictures)
    assert shown == wanted


@CODECS
def test_pictures_are_the_same_however_their_stream_is_cut(
    codec: VideoCodec, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    pictures = [annex_b(units_of(each)) for each in videos[codec]]
    stream = b"".join(pictures)
    chance = random.Random(5)
    places = sorted(chance.sample(range(1, len(stream)), 60))
    cuts = [stream[begin:end] for begin, end in pairwise([0, *places, len(stream)])]
    each_unit = [annex_b((unit,)) for unit in units_of(stream)]
    several = [b"".join(pictures[at : at + 3]) for at in range(0, len(pictures), 3)]
    for buffers in (pictures, [stream], cuts, each_unit, several, [bytes((byte,)) for byte in stream]):
        assert assembled(codec, buffers) == pictures


@CODECS
def test_whole_pictures_do_not_wait_for_the_next_buffer_once_they_are_known_to_be_whole(
    codec: VideoCodec, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    assembler = AccessUnits[int](codec, limit_bytes=LIMIT_BYTES)
    found = [
        [each.stamp for each in assembler.feed(data, number) if each]
        for number, data in enumerate(videos[codec])
    ]
    assert found == [[], [0, 1], *([number] for number in range(2, len(found)))]


def test_a_part_of_a_picture_that_was_taken_for_whole_is_told_and_parts_are_put_together_from_then_on(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    assembler = AccessUnits[int](H264, limit_bytes=LIMIT_BYTES)
    pictures = videos[H264]
    found = []
    for number, data in enumerate(pictures):
        *begin, last = units_of(data)
        buffers = [data] if number < 4 else [annex_b(begin), annex_b((last,))]
        for buffer in buffers:
            found += [each and len(each.units) for each in assembler.feed(buffer, number)]
    whole = [len(units_of(data)) for data in pictures]
    assert found[:4] == whole[:4]
    assert None in found
    after = found[len(found) - found[::-1].index(None) :]
    assert after == whole[-1 - len(after) : -1]
    assert len(after) >= 5


def test_parameter_sets_in_a_buffer_of_their_own_belong_to_the_picture_after_them() -> None:
    sets = [unit for unit in units_of(coded_pictures(H264, 1)[0]) if nal.nalu_type(H264, unit) in (7, 8)]
    bare = [
        annex_b(u for u in units_of(data) if nal.nalu_type(H264, u) not in (7, 8))
        for data in coded_pictures(H264, 3)
    ]
    first, *_ = assembled(H264, [annex_b(sets), *bare])
    assert first == annex_b((*sets, *units_of(bare[0])))


def test_filling_in_a_buffer_of_its_own_and_empty_buffers_disturb_no_picture(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    filling = annex_b((b"\x0c" + b"\xff" * 20 + b"\x80",))
    assembler = AccessUnits[int](H264, limit_bytes=LIMIT_BYTES)
    found = [
        each for data in videos[H264] for part in (data, filling, b"") for each in assembler.feed(part, 0)
    ]
    assert None not in found
    assert len(found) == len(videos[H264])


def test_the_prefixes_of_slices_belong_to_the_picture_after_them(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    """As conference cameras with scalable video send them."""
    prefix = b"\x6e\x40\x80\x00"
    scalable = []
    for data in videos[H264]:
        pairs = [(prefix, unit) if nal.is_slice(H264, unit) else (unit,) for unit in units_of(data)]
        scalable.append(annex_b(unit for pair in pairs for unit in pair).rstrip(b"\0"))
    assert assembled(H264, scalable) == [annex_b(units_of(data)) for data in scalable]
    assembler = AccessUnits[int](H264, limit_bytes=LIMIT_BYTES)
    counts = [len([*assembler.feed(data, 0)]) for data in scalable]
    assert counts == [0, 2, *(1 for _ in scalable[2:])]


@CODECS
def test_key_frames_are_those_with_which_a_decoder_begins(
    codec: VideoCodec, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    entries = [number for number, data in enumerate(videos[codec]) if is_entry(codec, units_of(data))]
    assert entries == [0, 5, 10]


def test_recovery_points_and_repeated_sets_are_entries_too() -> None:
    """x264 with open groups and with periodic refresh: neither sends IDR pictures after the first."""
    open_groups = coded_pictures(H264, 12, parameters="open-gop=1")
    refreshing = coded_pictures(H264, 12, parameters="intra-refresh=1")
    intra = units_of(coded_pictures(H264, 1)[0])
    assert [number for number, data in enumerate(refreshing) if is_entry(H264, units_of(data))] == [0, 5, 10]
    assert is_entry(H264, units_of(open_groups[5]))
    hidden = tuple(
        bytes((unit[0] & 0xE0 | 1,)) + unit[1:] if nal.is_key(H264, unit) else unit for unit in intra
    )
    assert is_entry(H264, hidden)
    assert not is_entry(H264, tuple(unit for unit in hidden if nal.is_slice(H264, unit)))


@pytest.mark.parametrize("filling", [b"\x01\x00", b"\xff", b"\x05\x01\x55"])
def test_messages_are_read_only_as_far_as_a_camera_puts_them(filling: bytes) -> None:
    """A unit of 16 MB would hold up all other work of the agent."""
    picture = units_of(coded_pictures(H264, 2)[1])
    recovery = b"\x06\x01\x80\x80"
    assert is_entry(H264, (b"\x06\x05\x02ab" + recovery, *picture))
    assert not is_entry(H264, (b"\x06" + filling * 6000 + recovery, *picture))
    assert not is_entry(H264, (*(b"\x06" + filling * 20,) * 100, b"\x06" + recovery, *picture))


def test_an_endless_picture_of_small_units_is_damage() -> None:
    key = coded_pictures(H264, 1)[0]
    for unit in (b"\x01\x40", b"\x0c\xff", b"\x0e\x40"):
        assembler = AccessUnits[int](H264, limit_bytes=LIMIT_BYTES)
        found = [*assembler.feed(key, 0)]
        for number in range(60):
            found += assembler.feed(annex_b((unit,) * 200), number)
        found += [*assembler.feed(key, 99), *assembler.feed(key, 100)]
        assert None in found
        entries = [each.stamp for each in found if each and is_entry(H264, each.units)]
        assert entries[0] == 99


def test_prefixes_count_in_the_size_of_a_picture() -> None:
    assembler = AccessUnits[int](H264, limit_bytes=10_000)
    found = [*assembler.feed(coded_pictures(H264, 1)[0], 0)]
    for number in range(40):
        found += assembler.feed(annex_b((b"\x0e" + b"\x55" * 3000,)), number)
    assert None in found


def test_rare_damage_does_not_make_all_later_pictures_wait(
    videos: dict[VideoCodec, tuple[bytes, ...]],
) -> None:
    assembler = AccessUnits[int](H264, limit_bytes=LIMIT_BYTES)
    pictures = videos[H264]
    stamps = []
    for number in range(4 * len(pictures)):
        data = pictures[number % len(pictures)]
        whole = data if number % len(pictures) != 7 else data[len(data) // 2 :].lstrip(b"\0\1")
        stamps.append([each.stamp for each in assembler.feed(whole, number) if each])
    assert stamps[-1] == [4 * len(pictures) - 1]


def test_key_frames_in_two_parts_among_whole_pictures_are_put_together_after_the_first() -> None:
    pictures = coded_pictures(H264, 30, parameters="slices=3")
    buffers = []
    for data in pictures:
        units = units_of(data)
        is_key = is_entry(H264, units)
        buffers += [annex_b(units[:-1]), annex_b(units[-1:])] if is_key else [data]
    found = assembled(H264, [*pictures[1:4], *buffers])
    assert found[-15:] == [annex_b(units_of(data)) for data in pictures[-15:]]


def test_all_sets_of_a_stream_are_in_its_configuration_and_the_newest_of_each_number_counts() -> None:
    sets = ParameterSets(H264)
    small, large = (units_of(coded_pictures(H264, 1, size=size)[0]) for size in ((64, 48), (128, 96)))

    def after(units: tuple[bytes, ...]) -> Configuration:
        sets.learn(units)
        assert sets.configuration is not None
        return sets.configuration

    first = after(small)
    assert after(small) is first
    second = after(large)
    assert (second.width, second.height) == (128, 96)
    other_pps = bytes((0x68, 0b0101_1110, 0x3C, 0x80))  # number 1
    third = after((other_pps,))
    assert other_pps in third.record
    assert len(third.record) > len(second.record)


def _as_number_1(unit: bytes, *places: int) -> bytes:
    """Return `unit` with 1 in place of the number 0 (Exp-Golomb) at each of these bits; what follows moves."""
    plain = unit.replace(b"\0\0\3", b"\0\0")
    bits = f"{int.from_bytes(plain, 'big'):0{8 * len(plain)}b}"
    for place in sorted(places, reverse=True):
        assert bits[place] == "1"
        bits = bits[:place] + "010" + bits[place + 1 :]
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _second(codec: VideoCodec, size: tuple[int, int]) -> tuple[bytes, ...]:
    """A key frame whose sets have the number 1."""
    if codec is H264:
        return units_of(coded_pictures(H264, 1, size=size, parameters="sps-id=1")[0])
    places = {33: (120,), 34: (16, 17)}
    return tuple(
        _as_number_1(unit, *(places.get(kind, (18,) if nal.is_key(H265, unit) else ())))
        for unit in units_of(coded_pictures(H265, 1, size=size)[0])
        if (kind := nal.nalu_type(H265, unit)) in (32, 33, 34) or nal.is_key(H265, unit)
    )


@CODECS
def test_the_size_is_that_of_the_set_to_which_the_picture_refers(codec: VideoCodec) -> None:
    first, second = units_of(coded_pictures(codec, 1, size=(64, 48))[0]), _second(codec, (128, 96))
    sets = ParameterSets(codec)
    for units, size in ((first, (64, 48)), (second, (128, 96)), (first, (64, 48))):
        sets.learn(units)
        sets.use(units)
        assert sets.configuration is not None
        assert (sets.configuration.width, sets.configuration.height) == size
    kept = sets.configuration
    sets.use(first)
    assert sets.configuration is kept
    sets.use(())
    assert sets.configuration is kept


@CODECS
@pytest.mark.parametrize("seed", range(30))
def test_damaged_streams_raise_nothing_but_the_declared_error(
    codec: VideoCodec, seed: int, videos: dict[VideoCodec, tuple[bytes, ...]]
) -> None:
    chance = random.Random(seed)
    assembler, sets = AccessUnits[int](codec, limit_bytes=1 << 14), ParameterSets(codec)
    for number in range(60):
        data = bytearray(chance.choice(videos[codec]) if chance.random() < 0.7 else chance.randbytes(300))
        for _ in range(chance.randrange(8)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(6)] = chance.choice(
                (b"", b"\0\0\1", b"\0\0\3", chance.randbytes(3))
            )
        for unit in assembler.feed(bytes(data), number):
            if unit is not None:
                sets.learn(unit.units)
                sets.use(unit.units)
                is_entry(codec, unit.units)
                assert sets.configuration is None or sets.configuration.width > 0
        try:
            configuration(codec, list(units_of(bytes(data))))
            without_lengths(bytes(data))
        except BitstreamError:
            continue


def test_lengths_are_undone() -> None:
    units = (b"\x67abc", b"\x68", b"\x65" * 300)
    assert without_lengths(length_prefixed(units)) == units
    with pytest.raises(BitstreamError):
        without_lengths(length_prefixed(units)[:-1])
    with pytest.raises(BitstreamError):
        h264.parse_sps(b"\x67\x42")
