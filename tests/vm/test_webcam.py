"""Answers of the simulated webcam according to the specifications, tested without a kernel."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.cameras import usbip
from tests.vm.cameras.controls import GET_CUR, GET_INFO, GET_MAX, SET_CUR, Controls, NoAnswer
from tests.vm.cameras.descriptors import Descriptors
from tests.vm.cameras.layout import Continuous, FrameSize, Layout
from tests.vm.cameras.negotiation import COMMIT, PROBE, Negotiation
from tests.vm.cameras.payloads import HEADER_BYTES, payloads
from tests.vm.cameras.pictures import Pictures

LAYOUT = Layout(
    mjpeg=(FrameSize(640, 480, (15, 30)), FrameSize(320, 240, Continuous(5, 10))),
    yuyv=(FrameSize(160, 120, (5,)),),
)


def parsed(data: bytes) -> list[bytes]:
    """Return the descriptors, split by the lengths at their starts."""
    found = []
    while data:
        found.append(data[: data[0]])
        data = data[data[0] :]
    return found


@pytest.mark.parametrize("layout", [LAYOUT, Layout(transfer="isochronous"), Layout(mjpeg=(), serial=None)])
def test_descriptors_add_up(layout: Layout) -> None:
    data = Descriptors(layout, Controls(layout)).find(2, 0)
    assert data is not None
    assert struct.unpack_from("<H", data, 2) == (len(data),)
    blocks = parsed(data)
    control = next(index for index, each in enumerate(blocks) if each[1:3] == b"\x24\x01")
    streaming = next(
        index for index, each in enumerate(blocks) if index > control and each[1:3] == b"\x24\x01"
    )
    for start, at in ((control, 5), (streaming, 4)):
        own = [each for each in blocks[start:] if each[1] == 0x24]
        until = next((index for index, each in enumerate(blocks[start:]) if each[1] != 0x24), len(own))
        assert struct.unpack_from("<H", blocks[start], at) == (sum(map(len, blocks[start : start + until])),)


def test_without_a_serial_there_is_no_text_for_one() -> None:
    device = Descriptors(Layout(serial=None), Controls(Layout(controls=()))).find(1, 0)
    assert device is not None
    assert len(device) == 18
    assert device[16] == 0


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((1, 1, 333_000), (1, 1, 333_333)),
        ((1, 1, 10_000_000), (1, 1, 666_666)),
        ((1, 2, 1_204_000), (1, 2, 1_200_000)),
        ((1, 9, 0), (1, 2, 1_000_000)),
        ((2, 1, 1), (2, 1, 2_000_000)),
        ((7, 1, 1), (2, 1, 2_000_000)),
    ],
)
def test_what_is_asked_for_becomes_the_nearest_that_there_is(
    asked: tuple[int, int, int], given: tuple[int, int, int]
) -> None:
    negotiation = Negotiation(LAYOUT, LAYOUT.formats)
    assert negotiation.request(PROBE, SET_CUR, struct.pack("<HBBI18x", 0, *asked)) == b""
    answer = negotiation.request(PROBE, GET_CUR, b"")
    assert answer is not None
    assert struct.unpack_from("<BBI", answer, 2) == given
    assert negotiation.request(COMMIT, SET_CUR, answer) == b""
    assert negotiation.interval_s == given[2] / 1e7


def test_a_control_that_another_governs_is_refused_with_the_reason() -> None:
    controls = Controls(Layout())
    exposure, mode = (1, 0x04), (1, 0x02)
    assert controls.request(*exposure, GET_INFO, b"") == bytes([1 | 2 | 4])
    assert controls.request(*exposure, SET_CUR, (9).to_bytes(4, "little")) is None
    assert controls.request(0, 2, GET_CUR, b"") == bytes([2])
    assert controls.request(*mode, SET_CUR, b"\1") == b""
    assert controls.request(*exposure, SET_CUR, (9).to_bytes(4, "little")) == b""
    assert controls.request(*exposure, SET_CUR, (1).to_bytes(4, "little")) is None
    assert controls.request(0, 2, GET_CUR, b"") == bytes([4])
    assert controls.history == [("auto_exposure", 1), ("exposure_time", 9)]


@pytest.mark.parametrize("size_bytes", [1, 100, 88, 1000])
def test_a_picture_in_payloads_is_whole(size_bytes: int) -> None:
    picture = bytes(range(256)) * 4
    picture = picture[:size_bytes]
    parts = payloads(picture, parity=3, at_s=1.5, payload_bytes=100, largest_bytes=5000, fault=None)
    assert b"".join(each[HEADER_BYTES:] for each in parts) == picture
    assert all(len(each) <= 100 for each in parts)
    assert [each[1] & 0x02 for each in parts] == [0] * (len(parts) - 1) + [2]
    assert {each[1] & 0x01 for each in parts} == {1}


def test_messages_of_the_kernel() -> None:
    setup = struct.pack("<BBHHH", 0x80, 6, 0x0100, 0, 18)
    submit = usbip.parse(struct.pack(">10I", 1, 7, 65537, 1, 0, 0, 18, 0, 0xFFFFFFFF, 0) + setup)
    assert submit == usbip.Submit(7, 0, to_host=True, length=18, packets=0, setup=setup)
    reply = usbip.submit_reply(submit, data=b"x" * 18)
    assert struct.unpack_from(">2I12xiI", reply) == (3, 7, 0, 18)
    assert reply[48:] == b"x" * 18
    unlink = usbip.parse(struct.pack(">6I24x", 2, 8, 65537, 0, 0, 7))
    assert unlink == usbip.Unlink(8, victim=7)
    with pytest.raises(ValueError, match="command 9"):
        usbip.parse(struct.pack(">12I", 9, *([0] * 11)))


def test_packets_of_an_isochronous_transfer() -> None:
    submit = usbip.Submit(7, 1, to_host=True, length=300, packets=3, setup=bytes(8))
    assert submit.follows_bytes == 48
    reply = usbip.submit_reply(submit, data=b"abcde", packets=[(100, 3), (100, 2), (100, 0)])
    assert reply[48:53] == b"abcde"
    assert usbip.packet_bytes(reply[53:]) == [100, 100, 100]
    assert [struct.unpack_from(">4I", reply, 53 + 16 * index) for index in range(3)] == [
        (0, 100, 3, 0),
        (100, 100, 2, 0),
        (200, 100, 0, 0),
    ]


def test_a_control_is_silent_undescribed_or_has_another_range_as_the_layout_says() -> None:
    layout = Layout(
        mute=("gain",), deaf=("brightness",), undescribed=("contrast",), ranges=(("brightness", -5, 5),)
    )
    assert Layout.from_json(layout.to_json()) == layout
    controls = Controls(layout)
    gain, contrast, brightness = ((2, selector) for selector in (0x04, 0x03, 0x02))
    with pytest.raises(NoAnswer):
        controls.request(*gain, GET_CUR, b"")
    with pytest.raises(NoAnswer):
        controls.request(*brightness, SET_CUR, bytes(2))
    assert controls.request(*gain, GET_INFO, b"") == b"\3"
    assert controls.request(*contrast, GET_MAX, b"") is None
    assert controls.request(*contrast, GET_CUR, b"") is not None
    assert controls.request(*brightness, GET_MAX, b"") == (5).to_bytes(2, "little")


CODED = Layout(mjpeg=(), yuyv=(), h264=(FrameSize(320, 240, (10, 5)),), hevc=(FrameSize(640, 480, (5,)),))


def test_coded_formats_are_frame_based_and_the_descriptors_add_up() -> None:
    assert Layout.from_json(CODED.to_json()) == CODED
    data = Descriptors(CODED, Controls(CODED)).find(2, 0)
    assert data is not None
    formats = [each for each in parsed(data) if each[1:3] == b"\x24\x10"]
    frames = [each for each in parsed(data) if each[1:3] == b"\x24\x11"]
    assert [(len(each), each[5:9], each[27]) for each in formats] == [(28, b"H264", 1), (28, b"H265", 1)]
    # Width and height, then after two rates the default interval, the number of intervals and the line's length.
    assert struct.unpack_from("<HHIIIBIII", frames[0], 5)[0:2] == (320, 240)
    assert struct.unpack_from("<IBIII", frames[0], 17) == (1_000_000, 2, 0, 1_000_000, 2_000_000)
    assert [len(each) for each in frames] == [34, 30]


def written_clip(folder: Path) -> None:
    """Write a clip of made NAL units: parameter sets and a key picture, then other pictures."""
    folder = folder / "H264/320x240"
    folder.mkdir(parents=True)
    start = b"\0\0\0\1"
    for number in range(6):
        sets = b"" if number else start + b"\x67sps" + start + b"\x68pps"
        slice_type = b"\x41" if number else b"\x65"
        (folder / f"{number:03}.au").write_bytes(sets + start + slice_type + bytes([number]))


def sent(layout: Layout, count: int, *, stream: int = 0, without_key: bool = False) -> list[bytes]:
    size = FrameSize(320, 240)
    pictures = Pictures(layout)
    return [pictures.of("H264", size, index, stream, without_key=without_key) for index in range(count)]


def test_a_stream_of_coded_video_begins_and_repeats_as_the_layout_says(tmp_path: Path) -> None:
    written_clip(tmp_path)
    layout = replace(CODED, frames=str(tmp_path), group=3, before_key=1)
    assert [each[-1] for each in sent(layout, 8)] == [2, 0, 1, 2, 0, 1, 2, 0]
    assert [each[4] for each in sent(layout, 3)] == [0x41, 0x67, 0x41]
    assert [each[-1] for each in sent(layout, 5, without_key=True)] == [2, 1, 1, 2, 1]
    once = replace(layout, parameter_sets="first")
    assert [b"sps" in each for each in sent(once, 8)] == [index == 1 for index in range(8)]
    assert sent(once, 5)[4] == b"\0\0\0\1\x65\0"


def test_an_encoder_may_begin_each_stream_with_another_size(tmp_path: Path) -> None:
    written_clip(tmp_path)
    other = tmp_path / "H264/640x480"
    other.mkdir()
    (other / "000.au").write_bytes(b"other")
    layout = replace(CODED, frames=str(tmp_path), coded_sizes=((320, 240), (640, 480)))
    assert [sent(layout, 1, stream=stream)[0] == b"other" for stream in range(3)] == [False, True, False]


def test_a_second_video_function_has_interfaces_and_an_endpoint_of_its_own() -> None:
    layout = Layout(h264=(FrameSize(320, 240),), coded_apart=True)
    assert [[name for name, _ in formats] for formats in layout.functions] == [["MJPG", "YUYV"], ["H264"]]
    data = Descriptors(layout, Controls(layout)).find(2, 0)
    assert data is not None
    blocks = parsed(data)
    assert data[4] == 4
    assert [each[2] for each in blocks if each[1] == 4] == [0, 1, 2, 3]
    assert [each[2] for each in blocks if each[1] == 5] == [0x81, 0x82]
    assert [(each[2], each[3]) for each in blocks if each[1] == 0x0B] == [(0, 2), (2, 2)]
    headers = [each for each in blocks if each[1:3] == b"\x24\x01" and each[-2] == 1 and len(each) == 13]
    assert [each[-1] for each in headers] == [1, 3]
