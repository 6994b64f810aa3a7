import random
from datetime import UTC, datetime

import pytest

from agent_core.plugin import VideoCodec
from agent_core.plugin.video import AnnexBReader
from agent_core.testing.coded_video import coded_pictures
from embedded_server.media.depacketize import Depacketizer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def packet(sequence: int, timestamp: int, payload: bytes, *, marker: bool = False) -> bytes:
    head = bytes([0x80, 0x60 | marker << 7]) + (sequence & 0xFFFF).to_bytes(2, "big")
    return head + (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + b"\0\0\0\1" + payload


def units(codec: VideoCodec, *packets: bytes) -> list[tuple[int, tuple[bytes, ...], bool]]:
    depacketizer = Depacketizer(codec)
    found = [unit for data in packets for unit in depacketizer.push(data, NOW)]
    found += depacketizer.flush()
    return [(unit.timestamp, unit.nalus, unit.key) for unit in found]


def test_single_aggregated_and_fragmented_units_of_h264() -> None:
    found = units(
        VideoCodec.H264,
        packet(0, 100, b"\x78\x00\x02\x67\x01\x00\x02\x68\x02"),
        packet(1, 100, b"\x7c\x85ab"),
        packet(2, 100, b"\x7c\x05cd"),
        packet(3, 100, b"\x7c\x45ef", marker=True),
        packet(4, 400, b"\x41xy", marker=True),
    )
    assert found == [(0, (b"\x67\x01", b"\x68\x02", b"\x65abcdef"), True), (300, (b"\x41xy",), False)]


def test_fragments_of_h265() -> None:
    found = units(
        VideoCodec.H265,
        packet(0, 0, b"\x62\x01\x93ab"),
        packet(1, 0, b"\x62\x01\x53cd", marker=True),
        packet(2, 10, b"\x60\x01\x00\x03\x02\x01z", marker=True),
    )
    assert found == [(0, (b"\x26\x01abcd",), True), (10, (b"\x02\x01z",), False)]


def test_a_picture_without_marker_ends_at_the_next_timestamp() -> None:
    assert units(VideoCodec.H264, packet(0, 0, b"\x41a"), packet(1, 5, b"\x41b")) == [(0, (b"\x41a",), False)]


def test_a_picture_with_a_lost_packet_is_dropped_and_the_next_is_kept() -> None:
    found = units(
        VideoCodec.H264,
        packet(0, 0, b"\x7c\x85ab"),
        packet(2, 0, b"\x7c\x45ef", marker=True),
        packet(3, 9, b"\x41b", marker=True),
    )
    assert found == [(9, (b"\x41b",), False)]


def test_the_picture_after_a_gap_may_have_lost_its_beginning() -> None:
    found = units(
        VideoCodec.H264,
        packet(0, 0, b"\x41a", marker=True),
        packet(2, 9, b"\x41b", marker=True),
        packet(3, 18, b"\x41c"),
        packet(5, 27, b"\x41d", marker=True),
        packet(6, 36, b"\x41e", marker=True),
    )
    assert [nalus for _, nalus, _ in found] == [(b"\x41a",), (b"\x41e",)]


def test_units_without_a_picture_belong_to_the_next() -> None:
    """Seen with Reolink: the marker on the sets, which have the time of the picture before."""
    found = units(
        VideoCodec.H264,
        packet(0, 0, b"\x09\xf0", marker=True),
        packet(1, 5, b"\x65\x80a", marker=True),
        packet(2, 5, b"\x67a", marker=True),
        packet(3, 5, b"\x68b"),
        packet(4, 9, b"\x65\x80c", marker=True),
    )
    assert found == [
        (5, (b"\x09\xf0", b"\x65\x80a"), True),
        (9, (b"\x67a", b"\x68b", b"\x65\x80c"), True),
    ]


def test_sets_after_a_picture_without_marker_belong_to_the_next() -> None:
    found = units(
        VideoCodec.H264, packet(0, 0, b"\x41\x80a"), packet(1, 0, b"\x67a"), packet(2, 9, b"\x65\x80b")
    )
    assert found == [(0, (b"\x41\x80a",), False)]
    again = units(VideoCodec.H264, packet(0, 0, b"\x67a"), packet(1, 9, b"\x65\x80b", marker=True))
    assert again == [(9, (b"\x67a", b"\x65\x80b"), True)]


@pytest.mark.parametrize(
    ("codec", "first", "second"), [(VideoCodec.H264, b"\x41\x80a", b"\x41\x40b"), (VideoCodec.H265, b"\x02\x01\x80", b"\x02\x01\x40")]
)  # fmt: skip
def test_a_picture_with_a_marker_on_each_slice_is_one(codec: VideoCodec, first: bytes, second: bytes) -> None:
    packets = [packet(number, 0, data, marker=True) for number, data in enumerate((first, second, first))]
    assert [nalus for _, nalus, _ in units(codec, *packets)] == [(first, second), (first,)]


def test_a_marker_inside_a_fragmented_unit_means_nothing() -> None:
    found = units(
        VideoCodec.H264, packet(0, 0, b"\x7c\x85ab", marker=True), packet(1, 0, b"\x7c\x45cd", marker=True)
    )
    assert found == [(0, (b"\x65abcd",), True)]


@pytest.mark.parametrize(
    "payloads",
    [
        (b"\x67a\0\0\0\1\x68b\0\0\1\x65c\0",),
        (b"\0\0\0\1\x67a", b"\0\0\1\x68b", b"\0\0\0\1\x65c"),
        (b"\x7c\x87a\0\0", b"\x7c\x07\0\1\x68b\0\0", b"\x7c\x47\1\x65c"),
        (b"\x1c\x80\0\0\1\x67a", b"\x1c\x40\0\0\1\x68b\0\0\1\x65c"),
        (b"\x78\x00\x02\x67a\x00\x08\x68b\0\0\0\1\x65c",),
    ],
)
def test_start_codes_inside_payloads_separate_units(payloads: tuple[bytes, ...]) -> None:
    packets = [packet(number, 0, data) for number, data in enumerate(payloads)]
    packets.append(packet(len(payloads), 9, b"\x41d"))
    assert units(VideoCodec.H264, *packets) == [(0, (b"\x67a", b"\x68b", b"\x65c"), True)]


def test_a_truncated_aggregate_is_a_damaged_picture() -> None:
    assert units(VideoCodec.H264, packet(0, 0, b"\x78\x00\x02\x41a\x00\x09\x41b", marker=True)) == []


def test_many_units_without_a_picture_are_not_kept_for_ever() -> None:
    packets = [packet(number, number, b"\x06" + bytes([1 + number % 255])) for number in range(5000)]
    ((_, nalus, _),) = units(VideoCodec.H264, *packets, packet(5000, 5000, b"\x65\x80", marker=True))
    assert len(nalus) < 100


def test_numbers_and_times_wrap() -> None:
    found = units(
        VideoCodec.H264,
        packet(0xFFFF, 0xFFFFFFF0, b"\x41a", marker=True),
        packet(0, 0x10, b"\x41b", marker=True),
        packet(1, 0x08, b"\x41c", marker=True),
    )
    assert [unit[0] for unit in found] == [0, 32, 24]


def test_a_recovery_point_is_a_key_picture_for_cameras_that_send_no_other() -> None:
    packets: list[bytes] = []
    for number, data in enumerate(coded_pictures(VideoCodec.H264, 8, parameters="intra-refresh=1")):
        reader = AnnexBReader()
        for unit in (*reader.feed(data), reader.flush()):
            packets.append(packet(len(packets), 6000 * number, unit))
    packets.append(packet(len(packets), 6000 * 8, b"\x09\xf0", marker=True))
    keys = [key for _, _, key in units(VideoCodec.H264, *packets)]
    assert keys == [number % 5 == 0 for number in range(8)]


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.H265])
def test_random_bytes_raise_nothing(codec: VideoCodec, seed: int) -> None:
    chance = random.Random(seed)
    packets = [
        packet(
            number, 10 * (number // 3), chance.randbytes(chance.randrange(12)), marker=chance.random() < 0.3
        )
        for number in range(200)
    ]
    packets += [chance.randbytes(chance.randrange(40)) for _ in range(200)]
    assert all(nalu for _, nalus, _ in units(codec, *packets) for nalu in nalus)
