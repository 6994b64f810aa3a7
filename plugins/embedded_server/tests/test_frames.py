"""Frames of sound and data in RTP packets, as FFmpeg and cameras send them."""

import array
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import av
import pytest

from agent_core.plugin import ffmpeg
from agent_core.plugin.rtsp import SessionDescription
from embedded_server.media.codecs import Codec, codec_of
from embedded_server.media.frames import FrameReader, frame_reader
from embedded_server.media.g711 import linear
from embedded_server.media.klv import whole_until
from embedded_server.media.opus import packet_ticks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = "config=1190"


def codec(media: str) -> Codec:
    description = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n{media}\r\n"
    return codec_of(SessionDescription.parse(description.encode()).media[0])


def aac(parameters: str = CONFIG, number: int = 97) -> Codec:
    fmtp = f"a=fmtp:{number} {parameters}" if parameters else "a=recvonly"
    return codec(f"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n{fmtp}")


def reader_of(found: Codec, payload_type: int = 97) -> FrameReader:
    reader = frame_reader(found, payload_type)
    assert reader is not None
    return reader


def packet(
    sequence: int, timestamp: int, payload: bytes, *, marker: bool = True, payload_type: int = 97
) -> bytes:
    head = bytes([0x80, payload_type | marker << 7]) + (sequence & 0xFFFF).to_bytes(2, "big")
    return head + (timestamp & 0xFFFF_FFFF).to_bytes(4, "big") + b"\0\0\0\1" + payload


def frames(reader: FrameReader, packets: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
    found = [frame for data in packets for frame in reader.push(data, NOW)]
    return [(frame.timestamp, frame.duration, frame.data) for frame in found]


def au_headers(*sizes: int) -> bytes:
    return (16 * len(sizes)).to_bytes(2, "big") + b"".join((size << 3).to_bytes(2, "big") for size in sizes)


def test_units_of_aac_that_share_a_packet_follow_each_other() -> None:
    data = au_headers(3, 2) + b"abcde"
    found = frames(reader_of(aac()), [packet(0, 0xFFFF_FF00, data), packet(1, 0x700, data)])
    assert found == [(0, 1024, b"abc"), (1024, 1024, b"de"), (2048, 1024, b"abc"), (3072, 1024, b"de")]


def test_a_unit_of_aac_in_several_packets_is_joined_and_one_with_a_lost_packet_dropped() -> None:
    head = au_headers(6)
    sent = [
        packet(0, 0, head + b"abc", marker=False),
        packet(1, 0, head + b"def"),
        packet(2, 1024, head + b"abc", marker=False),
        packet(4, 2048, head + b"abc", marker=False),
        packet(5, 2048, head + b"xyz"),
    ]
    assert frames(reader_of(aac()), sent) == [(0, 1024, b"abcdef"), (2048, 1024, b"abcxyz")]


@pytest.mark.parametrize("data", [b"\0", b"\0\x40\0\x18", b"\xff\xff" + bytes(8), au_headers(9) + b"x"])
def test_malformed_aac_is_no_frame(data: bytes) -> None:
    good = packet(1, 1024, au_headers(1) + b"x")
    assert frames(reader_of(aac()), [packet(0, 0, data), good]) == [(1024, 1024, b"x")]


@pytest.mark.parametrize(
    ("found", "rate_hz", "channels"),
    [
        (aac(), 48_000, 2),
        (aac(""), 48_000, 2),
        (aac("streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;config=1408", number=104), 16_000, 1),
        (aac("config=2b8a0800"), 22_050, 1),
    ],
    ids=["plain", "no-config", "number-of-another-format", "replicated-band"],
)
def test_the_configuration_of_aac(found: Codec, rate_hz: int, channels: int) -> None:
    assert found.aac is not None
    assert (found.aac.sample_rate_hz, found.aac.channels) == (rate_hz, channels)
    assert found.properties() == {"sampleRate": rate_hz, "channelCount": channels}


@pytest.mark.parametrize("parameters", ["config=zz", "config=11", "config=f8", "config=1190;sizelength=0"])
def test_an_unusable_configuration_of_aac_leaves_the_track_out(parameters: str) -> None:
    assert frame_reader(aac(parameters), 97) is None


async def test_the_durations_of_opus_are_those_that_ffmpeg_encodes() -> None:
    for duration_ms in (5, 20, 60):
        source = ["-f", "lavfi", "-i", "sine=duration=0.5:sample_rate=48000", "-c:a", "libopus"]
        options = ["-frame_duration", str(duration_ms), "-f", "framecrc", "-flush_packets", "0"]
        listed = (await ffmpeg.run(ffmpeg.locate(), [*source, *options, "-"])).decode()
        durations = {int(line.split(",")[3]) for line in listed.splitlines() if line[0] == "0"}
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
        encoder.options = {"frame_duration": str(duration_ms)}
        silence = av.AudioFrame(format="s16", layout="mono", samples=48 * duration_ms)
        silence.sample_rate = 48_000
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        made = [*encoder.encode(silence), *encoder.encode(None)]
        assert {packet_ticks(bytes(one)) for one in made} == {48 * duration_ms}
        assert 48 * duration_ms in durations
    assert packet_ticks(b"\x03") == 0
    assert packet_ticks(b"\x1b\x3f") == 0, "more than 120 ms"


@pytest.mark.parametrize(("name", "mu_law"), [("pcm_mulaw", True), ("pcm_alaw", False)])
def test_every_code_of_g711_is_decoded_as_by_ffmpeg(name: str, *, mu_law: bool) -> None:
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(bytes(range(256))))
    expected = array.array("h", bytes(frame.planes[0])[:512])
    expected.byteswap()
    assert linear(bytes(range(256)), mu_law=mu_law) == expected.tobytes()


def test_comfort_noise_is_no_sound() -> None:
    sound = codec("m=audio 0 RTP/AVP 0 13")
    assert sound.name == "G711"
    sent = [packet(0, 0, bytes(80), payload_type=0), packet(1, 80, b"\x40", payload_type=13)]
    assert frames(reader_of(sound, 0), sent) == [(0, 80, bytes(80))]


KEY = bytes.fromhex("060e2b34020b01010e01030101000000")


def klv(data: bytes) -> bytes:
    return KEY + b"\x82" + len(data).to_bytes(2, "big") + data


def test_units_of_klv_are_joined_and_those_with_a_lost_packet_dropped() -> None:
    found = codec("m=application 0 RTP/AVP 97\r\na=rtpmap:97 smpte336m/90000")
    one, other = klv(b"a" * 20), klv(b"b" * 20)
    sent = [
        packet(0, 0, one),
        packet(1, 90, other[:25], marker=False),
        packet(2, 90, other[25:]),
        packet(3, 180, other[:25], marker=False),
        packet(5, 270, other[25:]),
        packet(6, 360, one, marker=False),
        packet(7, 450, other),
    ]
    assert frames(reader_of(found), sent) == [(0, 1, one), (90, 1, other), (360, 1, one), (450, 1, other)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["aac", "opus", "g711", "klv"])
def test_packets_of_a_broken_sender_raise_nothing_and_keep_nothing(name: str, seed: int) -> None:
    chance = random.Random(seed)
    found = {
        "aac": aac(f"{CONFIG};sizelength={chance.choice((6, 13, 32))}"),
        "opus": codec("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2"),
        "g711": codec("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMA/8000"),
        "klv": codec("m=application 0 RTP/AVP 97\r\na=rtpmap:97 SMPTE336M/90000"),
    }[name]
    reader, sequence = reader_of(found), 0
    starts = (b"", KEY, au_headers(1400), au_headers(8191), b"\xff\xff")
    for _ in range(300):
        sequence += chance.choice((1, 1, 1, 2, 40_000))
        data = chance.choice(starts) + chance.randbytes(chance.randrange(1400))
        marker = chance.random() < 0.1
        for frame in reader.push(packet(sequence, chance.getrandbits(32), data, marker=marker), NOW):
            assert frame.duration > 0
            assert 0 < len(frame.data) <= 65_000


def test_a_frame_of_aac_that_no_transport_stream_holds_is_dropped() -> None:
    parts = [au_headers(8190) + bytes(1400)] * 6
    sent = [packet(number, 0, data) for number, data in enumerate(parts)]
    sent.append(packet(6, 1024, au_headers(1) + b"x"))
    assert frames(reader_of(aac()), sent) == [(1024, 1024, b"x")]


def test_a_packet_of_aac_with_thousands_of_tiny_units_is_no_sound() -> None:
    """A packet of 64 kB would be 57 000 frames, each of which is work for the recorder."""
    tiny = aac("config=1190;sizelength=1;indexlength=0;indexdeltalength=0")
    data = (57_000).to_bytes(2, "big") + b"\xff" * (57_000 // 8 + 57_000)
    assert frames(reader_of(tiny), [packet(0, 0, data)]) == []
    assert len(frames(reader_of(aac()), [packet(0, 0, au_headers(*[20] * 40) + bytes(800))])) == 40


class Looked(bytearray):
    """Data that counts how many of its bytes are looked at one by one."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += isinstance(at, int)
        return super().__getitem__(at)


def test_the_items_of_a_unit_of_klv_are_looked_at_once() -> None:
    """A unit may consist of thousands of items and of as many packets."""
    item = b"\x06\x0e\x2b\x34" + bytes(12) + b"\x01x"
    data, at = Looked(item[:-1]), 0
    for _ in range(500):
        at = whole_until(data, at)
        data += item[-1:] + item[:-1]
    assert at == 499 * len(item)
    assert data.looks <= 3 * 500


@pytest.mark.parametrize(
    ("media", "is_read"),
    [
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMU/8000/2", True),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMU/8000/0", False),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMU/999999999", False),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/999\r\na=fmtp:97 sprop-stereo=1", False),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/200", False),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/0", False),
        ("m=application 0 RTP/AVP 97\r\na=rtpmap:97 smpte336m/999999999", False),
    ],
)
def test_a_track_whose_numbers_no_file_can_hold_is_left_out(media: str, *, is_read: bool) -> None:
    found = codec(media)
    assert (frame_reader(found, 97) is not None) is is_read
