"""Parameter sets of a track: from the description as cameras write it, and from its packets."""

import pytest

from agent_core.base.clock import SystemClock
from agent_core.plugin.rtsp import SessionDescription
from embedded_server.media.stream import Stream, Track

SPS, PPS = bytes.fromhex("6742c01fda014016ec0440000003004000000f23c60ca8"), bytes.fromhex("68ce0fc8")
HEAD = b"\x80\x60\0\1\0\0\0\0\0\0\0\1"


def track(fmtp: str = "packetization-mode=1", codec: str = "H264") -> Track:
    text = f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\na=fmtp:96 {fmtp}\r\n"
    (found,) = Stream(SessionDescription.parse(text.encode()), SystemClock()).tracks
    return found


@pytest.mark.parametrize(
    "sets",
    [
        "Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==",
        "Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg,aM4PyA",  # no padding
        "aM4PyA==,Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=",  # the other way round
        "AAAAAWdCwB/aAUAW7ARAAAADAEAAAA8jxgyo,AAAAAWjOD8g=",  # with start codes
        "Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKgA,aM4PyA==",  # with a zero at the end
    ],
)
def test_sets_of_a_description(sets: str) -> None:
    assert track(f"sprop-parameter-sets={sets}").codec.parameter_sets == (SPS, PPS)


@pytest.mark.parametrize("sets", ["Z0LAHw==", "!,aM4PyA==", "", "Z0LA" + "AQEB" * 2000 + ",aM4PyA=="])
def test_incomplete_unreadable_or_excessive_sets_are_unknown(sets: str) -> None:
    assert track(f"sprop-parameter-sets={sets}").codec.parameter_sets == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"\x78" + b"".join(len(each).to_bytes(2, "big") + each for each in (SPS, PPS)),
        SPS + b"\0\0\0\1" + PPS + b"\0\0\1\x65\x88\x80",
        b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS,
    ],
)
def test_sets_of_a_packet(payload: bytes) -> None:
    found = track()
    found.seen(HEAD + payload, 0)
    assert found.codec.parameter_sets == (SPS, PPS)


def test_sets_of_h265_come_one_by_one() -> None:
    found = track(codec="H265", fmtp="x=y")
    sets = (b"\x40\x01v", b"\x42\x01s", b"\x44\x01p")
    for each in sets:
        found.seen(HEAD + each, 0)
    assert found.codec.parameter_sets == sets
