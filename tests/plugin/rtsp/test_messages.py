import pytest

from agent_core.plugin.rtsp import Headers, Interleaved, Request, Response, RtspError


def test_header_names_have_no_case_and_keep_their_order() -> None:
    headers = Headers([("WWW-Authenticate", "Digest"), ("www-authenticate", "Basic"), ("CSeq", "1")])
    assert headers.get("cseq") == "1"
    assert headers.all("Www-Authenticate") == ("Digest", "Basic")
    assert headers.get("Session", "none") == "none"
    assert "CSEQ" in headers
    assert "Session" not in headers
    assert [name for name, _ in headers] == ["WWW-Authenticate", "www-authenticate", "CSeq"]


def test_a_request_is_written_with_its_length() -> None:
    request = Request("ANNOUNCE", "rtsp://h/p", Headers({"CSeq": "2"}), b"v=0")
    assert request.encode() == b"ANNOUNCE rtsp://h/p RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nv=0"


def test_a_response_is_written_with_its_reason() -> None:
    assert (
        Response(461, Headers({"CSeq": "2"})).encode()
        == b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 2\r\n\r\n"
    )
    assert Response(299).encode().startswith(b"RTSP/1.0 299 Unknown\r\n")


def test_a_frame_is_written() -> None:
    assert Interleaved(1, b"abc").encode() == b"$\x01\x00\x03abc"


@pytest.mark.parametrize(
    "message",
    [
        Request("OPT IONS", "rtsp://h/p"),
        Request("OPTIONS", "rtsp://h/p x"),
        Request("OPTIONS", ""),
        Request("OPTIONS", "*", Headers({"A": "b\r\nC: d"})),
        Request("OPTIONS", "*", Headers({"A: b": "c"})),
        Response(200, reason="OK\r\nA: b"),
        Response(20),
        Interleaved(256, b""),
        Interleaved(0, bytes(65536)),
    ],
)
def test_what_would_break_out_of_a_message_is_refused(message: Request | Response | Interleaved) -> None:
    with pytest.raises(RtspError, match=r"cannot be written|one byte"):
        message.encode()
