import random
from contextlib import suppress

import pytest

from agent_core.plugin.rtsp import MediaDescription, RtpMap, RtspError, SessionDescription, control_url

CAMERA = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\na=control:*\r\na=tool:x:y\r\n"
    b"m=video 0 RTP/AVP 96\r\nb=AS:100\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAH9oBQBbsBEAA,aM4PyA==; profile-level-id=42C01F\r\n"
    b"a=control:streamid=0\r\n"
    b"m=audio 5004/2 RTP/AVP 0 8\r\na=recvonly\r\na=control:rtsp://h/x/1\r\n"
)


def test_a_description_is_read() -> None:
    found = SessionDescription.parse(CAMERA)
    video, audio = found.media
    assert (found.control, found.attribute("tool"), found.attribute("none")) == ("*", "x:y", None)
    assert (video.kind, video.port, video.protocol, video.formats) == ("video", 0, "RTP/AVP", ("96",))
    assert video.rtpmap == RtpMap(96, "H264", 90000)
    assert video.fmtp["sprop-parameter-sets"] == "Z0LAH9oBQBbsBEAA,aM4PyA=="
    assert video.control == "streamid=0"
    assert audio.rtpmap == RtpMap(0, "PCMU", 8000)
    assert audio.attribute("recvonly") == ""
    assert audio.fmtp == {}


def test_it_is_written_as_it_was_but_for_port_counts() -> None:
    found = SessionDescription.parse(CAMERA)
    assert found.encode() == CAMERA.replace(b"5004/2", b"5004")
    assert SessionDescription.parse(found.encode()) == found


def test_line_feeds_other_encodings_and_a_final_zero_are_tolerated() -> None:
    found = SessionDescription.parse(b"v=0\ns=Caf\xe9\nm=video 0 RTP/AVP 26\n\x00")
    assert found.lines[1] == ("s", "Café")
    assert found.media[0].rtpmap == RtpMap(26, "JPEG", 90000)


def test_an_rtpmap_of_another_format_or_none_is_not_ours() -> None:
    found = SessionDescription.parse(b"m=video 0 RTP/AVP 96\na=rtpmap:97 H264/90000\na=rtpmap:96 broken")
    assert found.media[0].rtpmap is None
    assert SessionDescription.parse(b"m=application 0 TCP/x webrtc").media[0].rtpmap is None


@pytest.mark.parametrize("rtpmap", ["96 H264/90000", " 96 H264/90000", "96  H264/90000 "])
def test_spaces_around_an_rtpmap_are_tolerated(rtpmap: str) -> None:
    found = SessionDescription.parse(f"m=video 0 RTP/AVP 96\r\na=rtpmap:{rtpmap}\r\n".encode())
    assert found.media[0].rtpmap == RtpMap(96, "H264", 90000)


def test_a_line_that_is_no_field_is_skipped() -> None:
    found = SessionDescription.parse(
        b"v=0\r\nrange:npt=now-\r\nm=video 0 RTP/AVP 26\r\n\r\nx\r\na=control:1\r\n"
    )
    assert found.lines == (("v", "0"),)
    assert found.media[0].control == "1"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"v=0\r\n",
        b"nonsense",
        b"m=video",
        b"m=video 99999 RTP/AVP 96",
        b"m=a 0 b c\r\n" * 33,
        b"m=" + bytes(300_000),
    ],
)
def test_what_is_no_description_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(RtspError, match="session description"):
        SessionDescription.parse(data)


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("", "rtsp://h:1/cam?x=y/"),
        ("*", "rtsp://h:1/cam?x=y/"),
        ("trackID=0", "rtsp://h:1/cam?x=y/trackID=0"),
        ("/abs/1", "rtsp://h:1/abs/1"),
        ("rtsp://other/1", "rtsp://other/1"),
        ("RTSP://other/1", "RTSP://other/1"),
    ],
)
def test_control_addresses(control: str, expected: str) -> None:
    assert control_url("rtsp://h:1/cam?x=y/", control) == expected


def test_a_control_that_is_no_address() -> None:
    with pytest.raises(RtspError, match="control"):
        control_url("rtsp://h/", "rtsp://[")


@pytest.mark.parametrize("seed", range(300))
def test_any_bytes_are_a_description_or_one_error(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(CAMERA)
    for _ in range(chance.randrange(1, 20)):
        place = chance.randrange(len(data))
        data[place : place + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    media: tuple[MediaDescription, ...] = ()
    with suppress(RtspError):
        media = SessionDescription.parse(bytes(data)).media
    for one in media:
        assert one.rtpmap is None or one.rtpmap.payload_type == one.payload_type
        assert all(name == name.lower() for name in one.fmtp)
        with suppress(RtspError):
            assert control_url("rtsp://h/a", one.control)
