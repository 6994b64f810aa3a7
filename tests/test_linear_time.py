"""Text and bytes from outside are read in a time that grows no faster than they do.

Each input is a million characters that something quadratic would take hours for: the test's time-out is the
assertion. What is compared beside it shows that the input was not just turned away.
"""

import itertools
import struct
from pathlib import Path

import pytest

from agent_core.media.boxes import Damaged, fragment, movie
from agent_core.media.fmp4 import Fmp4Reader
from agent_core.mediamtx.redaction import without_addresses, without_credentials
from agent_core.mediamtx.schema import ServerInfo
from agent_core.mediamtx.units import parse_duration_s, parse_size_bytes
from agent_core.plugin import VideoCodec
from agent_core.plugin.ffmpeg import explain, redact
from agent_core.plugin.jpeg import JpegError, inspect, mend, with_huffman_tables
from agent_core.plugin.rtsp import Request, RtpInfo, RtspError
from agent_core.plugin.rtsp.auth import Challenge
from agent_core.plugin.rtsp.parser import Limits, RtspParser
from agent_core.plugin.video import AccessUnits, ParameterSets, is_entry
from agent_core.streams.publishers.runner import _is_refused

MANY = 1_000_000


@pytest.mark.parametrize("word", ["a", "a.", "://", "a:", "/", "@", "[a @ 0x", "'a", "write header "])
def test_what_programs_print(word: str) -> None:
    text = word * (MANY // len(word))
    for shown in (redact(text), without_addresses(text), without_credentials(text)):
        assert len(shown) <= 4 * len(text)
    assert explain(text + "\nConnection refused", 1).reason == "connection_refused"
    assert _is_refused(f"{text}\nwrite header: Server returned 401 Unauthorized")
    assert not _is_refused(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("open rtsp://u:p@h:1/a?b@c failed", "open rtsp://***@c failed"),
        ("no user in rtsp://host/path", "no user in rtsp://host/path"),
        ("'rtsp://u@h' and http://x:y@z", "'rtsp://***@h' and http://***@z"),
    ],
)
def test_credentials_are_left_out_of_logs(said: str, shown: str) -> None:
    assert without_credentials(said) == shown


@pytest.mark.parametrize("glued", ["", "1", "-", "+", "é", "x1."])
def test_addresses_are_taken_out_whatever_stands_before_them(glued: str) -> None:
    said = f"cannot open {glued}rtsp://u:secret@10.0.0.1/live now"
    assert not {"secret", "10.0.0.1"} & set(redact(said).replace("/", " ").replace(":", " ").split())
    assert "secret" not in redact(said)
    assert "10.0.0.1" not in without_addresses(said)


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("", "X: a" + " " * MANY + "b"),
        ("", "X" + " " * MANY + ": b"),
        ("", "X:" + " " * MANY + "b"),
        ("\r\n" * MANY, "X: b"),
    ],
    ids=range(4),
)
def test_a_header_line(before: str, line: str) -> None:
    parser = RtspParser(Limits(head_bytes=4 * MANY))
    (message,) = parser.feed(f"{before}OPTIONS * RTSP/1.0\r\n{line}\r\n\r\n".encode())
    assert isinstance(message, Request)
    assert message.headers.get("X").endswith("b")


@pytest.mark.parametrize(
    "value",
    [
        "Digest realm=" + " " * MANY + "x y",
        'Digest realm="' + "\\a" * (MANY // 2),
        "Digest realm" + " " * MANY + "x",
        "Digest " + "a=," * (MANY // 3) + "=",
    ],
    ids=range(4),
)
def test_an_authentication_field(value: str) -> None:
    with pytest.raises(RtspError):
        Challenge.parse(value)


def test_an_authentication_field_may_have_spaces_around_its_values() -> None:
    challenge = Challenge.parse('Digest  realm = "a, b" ,nonce=x , opaque= ,qop = auth')
    assert (challenge.realm, challenge.nonce, challenge.opaque, challenge.qop) == ("a, b", "x", "", True)


@pytest.mark.parametrize("filler", [" ", ";seq=1", ";rtptime=", ", ", ",url="])
def test_an_rtp_info_field(filler: str) -> None:
    many = filler * (MANY // len(filler) // (50 if filler == ",url=" else 1))
    assert RtpInfo.parse(f"url=a{many}x;seq=5;rtptime=6; ")[-1].rtptime == 6


@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("url=a;seq=1;rtptime=2", RtpInfo("a", 1, 2)),
        ("url=a;seq=1", RtpInfo("a", 1)),
        (" url=a;rtptime=2; ", RtpInfo("a", None, 2)),
        ("url=a;rtptime=2;seq=1", RtpInfo("a;rtptime=2", 1)),
        ("url=a;seq=x;rtptime=-1", RtpInfo("a;seq=x;rtptime=-1")),
        ("url=a;seq=12345678901", RtpInfo("a;seq=12345678901")),
    ],
)
def test_an_rtp_info_field_with_nonsense(text: str, info: RtpInfo) -> None:
    assert RtpInfo.parse(text) == (info,)


def test_numbers_of_a_server_are_bounded() -> None:
    assert ServerInfo(version="v" + "1" * MANY + ".2.3").version_numbers is None
    assert ServerInfo(version="v1.20." + "1" * 5000).version_numbers == (1, 20, 11111)
    for text in ("9" * 400 + "h", "9" * 5000 + "s", "1" * MANY, "1." + "1" * MANY, "." * MANY):
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration_s(text)
    for text in ("9" * 5000 + "M", "1" * MANY):
        with pytest.raises(ValueError, match="is not a size"):
            parse_size_bytes(text)


JPEG_HEAD = bytes.fromhex("ffd8ffc0000b080010001001011100")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * MANY, "too many segments"),
        (b"\xff\xd8" + b"\xff" * MANY, "ends inside its header"),
        (JPEG_HEAD + b"\xff\xda\x00\x02" + b"\xff\xe0\x00\x02" * MANY, "too many scans"),
        (JPEG_HEAD + b"\xff\xda\x00\x02" + b"\xff\xc4\x00\x02" * MANY, "data is damaged"),
        (JPEG_HEAD + b"\xff\xda\x00\x02" + b"\xff\x00" * MANY, "end is missing"),
        (JPEG_HEAD + b"\xff\xda\x00\x02" + b"\xff" * MANY, "end is missing"),
    ],
    ids=range(6),
)
def test_a_forged_jpeg(data: bytes, said: str) -> None:
    with pytest.raises(JpegError, match=said):
        inspect(data)
    with pytest.raises(JpegError):
        mend(data, lambda _: False)
    assert with_huffman_tables(data)[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" * MANY,
        b"\xff\xd8\0" * MANY,
        (JPEG_HEAD + b"\xff\xda\x00\x02picture") * (MANY // 20),
        b"\xff\xd8" + b"\0\xff\xe0\x00\x03" * MANY,
        b"\xff\xd8\0" + b"\xff\xc4\x00\x10" * MANY,
        b"\xff\xd8" + bytes(MANY) + b"\0\xff\xe0\x00\x05" * MANY,
    ],
    ids=range(6),
)
def test_data_that_look_like_many_jpegs(data: bytes) -> None:
    with pytest.raises(JpegError):
        mend(data, lambda _: False)


def test_fill_bytes_stand_before_a_marker() -> None:
    whole = JPEG_HEAD[:2] + b"\xff" * 1000 + JPEG_HEAD[3:] + b"\xff\xda\x00\x02picture\xff\xd9"
    assert inspect(whole).size_bytes == len(whole)


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def test_boxes_inside_each_other() -> None:
    leaves = box(b"free", b"") * 100_000
    nested = leaves
    for kind in itertools.islice(itertools.cycle((b"trak", b"mdia")), 900):
        nested = box(kind, nested)
    with pytest.raises(Damaged):
        movie(nested)


def test_runs_that_claim_the_samples_of_others() -> None:
    """Each of 100,000 runs says that all bytes behind it are its samples."""
    count = 100_000
    header = struct.pack(">II", 0x100, count)
    with pytest.raises(Damaged):
        fragment(box(b"traf", box(b"trun", header) * count), {})


def track(number: int, kind: bytes) -> bytes:
    """A trak with 1000 ticks each second."""
    media = box(b"mdhd", struct.pack(">5I", 0, 0, 0, 1000, 0)) + box(b"hdlr", bytes(8) + kind + bytes(12))
    return box(b"trak", box(b"tkhd", struct.pack(">4I", 0, 0, 0, number)) + box(b"mdia", media))


def part(*tracks: int, at: int) -> bytes:
    """A moof and its mdat, with one sample of 10 ticks of each track."""
    runs = b"".join(
        box(
            b"traf",
            box(b"tfhd", struct.pack(">III", 0x08, number, 10))
            + box(b"tfdt", struct.pack(">II", 0, at))
            + box(b"trun", struct.pack(">II", 0, 1)),
        )
        for number in tracks
    )
    return box(b"moof", box(b"mfhd", bytes(8)) + runs) + box(b"mdat", b"")


def test_a_recording_whose_end_lacks_a_track(tmp_path: Path) -> None:
    """Its last part with both tracks is not near the end, where it is looked for from each part on."""
    path = tmp_path / "x.mp4"
    count = 70_000
    parts = b"".join(part(1, at=10 * number) for number in range(1, count))
    movie_box = box(b"moov", track(1, b"vide") + track(2, b"soun"))
    path.write_bytes(box(b"ftyp", b"isom") + movie_box + part(1, 2, at=0) + parts)
    assert path.stat().st_size > 6_000_000
    info = Fmp4Reader(path).update()
    assert (info.duration_s, info.unread_bytes) == (count / 100, 0)


def test_a_long_recording_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    count = 50_000
    hole = box(b"free", b"mfhd" * 1000)
    parts = b"".join(part(1, 2, at=10 * number) + hole * (number % 1000 == 0) for number in range(count))
    movie_box = box(b"moov", track(1, b"vide") + track(2, b"soun"))
    path.write_bytes(box(b"ftyp", b"isom") + movie_box + parts + hole[:50])
    info = Fmp4Reader(path).update()
    assert (info.duration_s, info.unread_bytes) == (count / 100, 50)


@pytest.mark.parametrize("codec", [VideoCodec.H264, VideoCodec.H265])
@pytest.mark.parametrize("cut", [50, MANY])
@pytest.mark.parametrize(
    "word",
    [b"\0", b"\0\0\1\x06\xff", b"\0\0\1\x4e\x01\xff", b"\0\0\1\x65\x80", b"\0\0\3", b"\xff", b"\0\0\1\x67"],
)
def test_coded_video(word: bytes, cut: int, codec: VideoCodec) -> None:
    data = b"\0\0\1\x67" + word * (MANY // (4 * len(word)))
    assembler, sets = AccessUnits[None](codec, limit_bytes=2 * MANY), ParameterSets(codec)
    for at in range(0, len(data), cut):
        for unit in assembler.feed(data[at : at + cut], None):
            if unit is not None:
                sets.learn(unit.units)
                is_entry(codec, unit.units)
    is_entry(codec, (data[3:],))
    sets.learn((data[3:],))
    assert sets.configuration is None
