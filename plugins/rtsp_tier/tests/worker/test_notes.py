"""What a frame socket tells of its pictures, read without trust, and the NAL units in them."""

import json
import random

import pytest

from agent_core.plugin import CapturedAtSource, SettledBy, Settlement
from agent_core.plugin.frames.capture_note import capture_note
from rtsp_tier.messages import Taken, encode
from rtsp_tier.worker.captured import Captured, read_note
from rtsp_tier.worker.continuity import FrameNumbers
from rtsp_tier.worker.nal import NalUnits
from tests.odd.coded_camera import encoded

NOW_S = 1000.0


def test_a_note_of_the_frame_server_is_read_as_it_was_written() -> None:
    note = capture_note(12.5, CapturedAtSource.DEVICE)
    assert read_note(note, now_s=NOW_S) == Captured(12.5, "device")
    settlement = Settlement(SettledBy.TIME, 2.0)
    note = capture_note(12.5, CapturedAtSource.ARRIVAL, settled=False, settlement=settlement)
    assert read_note(note, now_s=NOW_S) == Captured(
        12.5, "arrival", is_settled=False, settled_by="time", settled_after_s=2.0
    )


def test_a_picture_is_never_from_the_future() -> None:
    note = capture_note(NOW_S + 5, CapturedAtSource.DEVICE)
    assert read_note(note, now_s=NOW_S) == Captured(NOW_S, "device")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"[1]",
        b"null",
        b"{}",
        b'{"captured_us":null}',
        b'{"captured_us":true}',
        b'{"captured_us":"1"}',
        b'{"captured_us":NaN}',
        b'{"captured_us":Infinity}',
        b'{"captured_us":-1}',
        b'{"captured_us":' + b"9" * 400 + b"}",
        b"[" * 100_000,
    ],
)
def test_what_is_no_note_tells_nothing(data: bytes) -> None:
    assert read_note(data, now_s=NOW_S) is None


@pytest.mark.parametrize("value", [None, True, "x", 1.5, -1, float("nan"), float("inf"), [], {}])
def test_odd_fields_of_a_note_do_not_reach_the_plugin(value: object) -> None:
    odd = {"source": value, "settled": value, "settled_by": value, "settled_after_s": value}
    note = read_note(json.dumps({"captured_us": 1} | odd).encode(), now_s=NOW_S)
    assert note is not None
    assert encode(
        Taken(
            1,
            1,
            1,
            note.captured_s,
            b"x",
            note.source,
            note.is_settled,
            note.settled_by,
            note.settled_after_s,
        )
    )


def test_units_are_found_after_their_lengths() -> None:
    clip = encoded()
    units = NalUnits(clip.private)
    assert [each[0] & 0x1F for each in units.parameter_sets()] == [7, 8]
    for picture in clip.pictures:
        kinds = [picture.data[at] & 0x1F for at in units.starts(picture.data)]
        assert kinds[-1] == (5 if picture.is_key else 1)


def test_gaps_are_found_in_pictures_with_lengths() -> None:
    pictures = [each.data for each in encoded().pictures[:8]]
    numbers = FrameNumbers(encoded().private)
    assert [numbers.is_gap(each) for each in pictures] == [False] * 8
    numbers.restart()
    assert [numbers.is_gap(each) for each in pictures[:3] + pictures[5:]] == [False] * 3 + [True] + [
        False
    ] * 2


def test_damaged_descriptions_and_pictures_end_the_search() -> None:
    chance, clip = random.Random(12), encoded()
    for _ in range(2000):
        private, data = bytearray(clip.private), bytearray(clip.pictures[1].data)
        for each in (private, data):
            each[chance.randrange(len(each))] = chance.randrange(256)
            del each[chance.randrange(1, len(each) + 1) :]
        FrameNumbers(bytes(private)).is_gap(bytes(data))
