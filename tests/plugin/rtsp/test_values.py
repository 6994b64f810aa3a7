import random
from contextlib import suppress

import pytest

from agent_core.plugin.rtsp import RtpInfo, RtspError, SessionId, Transport


def test_a_transport_is_read_and_written() -> None:
    text = "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6CBD12DB"
    (found,) = Transport.parse(text)
    assert found == Transport(interleaved=(0, 1), ssrc=0x6CBD12DB)
    assert str(found) == text


def test_alternatives_keep_their_order() -> None:
    first, second = Transport.parse(
        "RTP/AVP;unicast;client_port=5000-5001, RTP/AVP/TCP;interleaved=2-3;mode=record"
    )
    assert first == Transport(lower="UDP", client_port=(5000, 5001))
    assert second == Transport(interleaved=(2, 3), record=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RTP/AVP;multicast", Transport(lower="UDP", multicast=True)),
        ("rtp/avp/tcp;unicast;interleaved=4", Transport(profile="RTP/AVP", interleaved=(4, 5))),
        ('RTP/AVP/TCP;mode="RECORD"', Transport(record=True)),
        ("RTP/AVP/TCP;ssrc= nonsense;x=y", Transport()),
        ("RTP/AVP/UDP;server_port=1-2", Transport(lower="UDP", server_port=(1, 2))),
    ],
)
def test_transports_of_the_field(text: str, expected: Transport) -> None:
    assert Transport.parse(text) == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "RAW/RAW/UDP",
        "RTP",
        "RTP/AVP/TCP;interleaved=a-b",
        "RTP/AVP;client_port=70000-70001",
        "RTP/AVP/TCP;interleaved=255",
    ],
)
def test_a_transport_that_is_none(text: str) -> None:
    with pytest.raises(RtspError, match="Transport"):
        Transport.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", SessionId("abc")),
        ("abc;timeout=55", SessionId("abc", 55)),
        (" abc ; Timeout=60 ", SessionId("abc", 60)),
        ("abc;timeout=soon", SessionId("abc")),
    ],
)
def test_sessions(text: str, expected: SessionId) -> None:
    assert SessionId.parse(text) == expected


def test_a_session_is_written() -> None:
    assert str(SessionId("abc", 55)) == "abc;timeout=55"
    assert str(SessionId("abc")) == "abc"


@pytest.mark.parametrize("text", ["", ";timeout=3", "two words"])
def test_a_session_that_is_none(text: str) -> None:
    with pytest.raises(RtspError, match="Session"):
        SessionId.parse(text)


def test_rtp_info_is_read_and_written() -> None:
    text = "url=rtsp://h/a/trackID=0;seq=1634;rtptime=2390564286"
    assert RtpInfo.parse(text) == (RtpInfo("rtsp://h/a/trackID=0", 1634, 2390564286),)
    assert str(RtpInfo.parse(text)[0]) == text
    assert [one.url for one in RtpInfo.parse("url=a,b;seq=1, url=c")] == ["a,b", "c"]
    assert RtpInfo.parse("nonsense") == (RtpInfo(""),)
    assert str(RtpInfo("a")) == "url=a"


@pytest.mark.parametrize("seed", range(200))
def test_any_text_is_a_value_or_one_error(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = 'RTP/AVP/TCP;=-,"\\ \t\r\n0123456789interleaved=mode=record²٣\x00url'
    text = "".join(chance.choices(alphabet, k=chance.randrange(60)))
    RtpInfo.parse(text)
    for read in (Transport.parse, SessionId.parse):
        with suppress(RtspError):
            read(text)
