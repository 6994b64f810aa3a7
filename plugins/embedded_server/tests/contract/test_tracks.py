"""Sound, data and video in one stream: what is relayed, and what the files of a recording hold."""

import time
from collections.abc import Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import av
import pytest

from agent_core.media.fmp4 import segment_duration_s
from agent_core.media.joined_files import Layouts, ServedJoin
from agent_core.media.mpegts import segment_duration_s as ts_duration_s
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.plugin.rtsp import Interleaved
from agent_core.testing.mediamtx import free_ports
from tests.odd.contents import beeps, flashes, packets, times_of
from tests.odd.video import CLOCK_HZ, RATE, Habits, Packetizer, Video, described, encode

pytestmark = pytest.mark.timeout(120)

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15")
REORDERED = (*H264, "-bf", "2", "-b_strategy", "0")
H265 = (
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=2:keyint=15:open-gop=0",
)
AAC = ("-c:a", "aac", "-ar", "44100")
OPUS = ("-c:a", "libopus", "-ar", "48000")
MU_LAW = ("-c:a", "pcm_mulaw", "-ar", "8000")
A_LAW = ("-c:a", "pcm_alaw", "-ar", "8000")
#: A white flash and a beep of 0.2 s each, at the same time, once per second.
FLASH = "color=black:size=160x120:rate=25,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.2)',realtime"
BEEP = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.2)':s=48000,arealtime"


@asynccontextmanager
async def showing(media: Any, path: str, video: Sequence[str], sound: Sequence[str], *more: str) -> Any:
    """Publish the flashes and beeps."""
    inputs = ("-f", "lavfi", "-i", FLASH, "-f", "lavfi", "-i", BEEP)
    output = ("-f", "rtsp", "-rtsp_transport", "tcp", f"{media.server.rtsp_url}/{path}")
    argv = (ffmpeg.locate(), *ffmpeg.QUIET, *inputs, *video, *sound, *more, *output)
    async with child(argv):
        yield await media.until(f"/v3/paths/get/{path}", {"ready": True})


async def recorded(
    media: Any, form: str, video: Sequence[str], sound: Sequence[str], *more: str, length_s: float = 4
) -> Path:
    """Record flashes and beeps, and return the finished file."""
    await media.add("cam", record=True, recordFormat=form, recordPartDuration="250ms")
    async with showing(media, "cam", video, sound, *more):
        (file,) = await media.recorded("cam")
        await anyio.sleep(length_s)
        await media.patch("cam", record=False)
        if form == "fmp4":
            await media.finished(file)
    await media.until("/v3/paths/get/cam", {"ready": False})
    assert isinstance(file, Path)
    return file


def codecs(file: Path) -> list[str | None]:
    with av.open(file) as container:
        return [stream.name for stream in container.streams]


@pytest.mark.parametrize(
    ("sound", "name", "properties"),
    [
        (AAC, "MPEG-4 Audio", {"sampleRate": 44100, "channelCount": 1}),
        (OPUS, "Opus", {"channelCount": 1}),
        (MU_LAW, "G711", {"muLaw": True, "sampleRate": 8000, "channelCount": 1}),
        (A_LAW, "G711", {"muLaw": False, "sampleRate": 8000, "channelCount": 1}),
    ],
    ids=["aac", "opus", "mu-law", "a-law"],
)
async def test_sound_is_shown_and_relayed(
    media: Any, sound: Sequence[str], name: str, properties: dict[str, Any]
) -> None:
    await media.add("cam")
    async with showing(media, "cam", H264, sound) as path:
        assert path["tracks"] == ["H264", name]
        assert path["tracks2"][1]["codecProps"] == properties
        source = f"{media.server.rtsp_url}/cam"
        arguments = ["-rtsp_transport", "tcp", "-i", source, "-map", "0:a", "-t", "1", "-f", "s16le", "-"]
        heard = await ffmpeg.run(ffmpeg.locate(), arguments)
    assert len(set(heard)) > 16, "the sound is silent"


@pytest.mark.parametrize(
    ("form", "sound", "name"),
    [
        ("fmp4", AAC, "aac"),
        ("fmp4", OPUS, "opus"),
        ("fmp4", MU_LAW, "pcm_s16be"),
        ("fmp4", A_LAW, "pcm_s16be"),
        ("mpegts", AAC, "aac"),
        ("mpegts", OPUS, "opus"),
    ],
    ids=["fmp4-aac", "fmp4-opus", "fmp4-mu-law", "fmp4-a-law", "mpegts-aac", "mpegts-opus"],
)
@pytest.mark.parametrize("video", [REORDERED, H265], ids=["h264", "h265"])
async def test_sound_and_pictures_are_in_step(
    media: Any, form: str, video: Sequence[str], sound: Sequence[str], name: str
) -> None:
    file = await recorded(media, form, video, sound)
    assert codecs(file)[1] == name
    await media.decodes(file)
    seen, heard = flashes(file), beeps(file)
    assert len(seen) >= 3
    # MediaMTX takes the arrival of the first packets for the common time of the tracks.
    step_s = 0.12 if media.server.kind == "embedded" else 0.7
    pairs = [(one, min(heard, key=lambda other: abs(other - one))) for one in seen[1:-1]]
    assert all(abs(one - other) < step_s for one, other in pairs), pairs


@pytest.mark.parametrize("form", ["fmp4", "mpegts"])
async def test_segments_joined_by_the_agent_stay_in_step(media: Any, tmp_path: Path, form: str) -> None:
    await media.add(
        "cam", record=True, recordFormat=form, recordPartDuration="250ms", recordSegmentDuration="2s"
    )
    async with showing(media, "cam", REORDERED, AAC):
        files = (await media.recorded("cam", 4))[:3]
    names = tuple(str(file.relative_to(media.server.recordings)) for file in files)
    opened = ServedJoin(media.server.recordings, names, f"whole{files[0].suffix}", Layouts()).open()
    assert opened is not None
    whole = tmp_path / f"whole{files[0].suffix}"
    with opened, whole.open("wb") as out:
        while piece := opened.read(out.tell(), 1 << 20) if out.tell() < opened.size_bytes else b"":
            out.write(piece)
    # MediaMTX's sound starts later than its pictures and ends later: each join adds the difference.
    is_exact = media.server.kind == "embedded"
    measure = segment_duration_s if form == "fmp4" else ts_duration_s
    assert measure(whole) == pytest.approx(sum(map(measure, files)), abs=0.1 if is_exact else 0.7)
    seen, heard = flashes(whole), beeps(whole)
    assert len(seen) >= 5
    steps_s = [after - before for before, after in pairwise(seen)]
    assert all(abs(step - 1) < (0.1 if is_exact else 0.5) for step in steps_s), steps_s
    step_s = 0.12 if is_exact else 0.7
    assert all(min(abs(one - other) for other in heard) < step_s for one in seen[1:-1]), (seen, heard)


#: Key of the UAS Datalink Local Set (MISB ST 0601).
KEY = bytes.fromhex("060e2b34020b01010e01030101000000")
KLV = "m=application 0 RTP/AVP 98\r\na=rtpmap:98 SMPTE336M/90000\r\na=control:streamid=1\r\n"


def klv_unit(number: int) -> bytes:
    """Return a unit that fits a packet, or every fifth time one that needs three."""
    size = 3000 if number % 5 == 4 else 40
    return KEY + b"\x82" + size.to_bytes(2, "big") + bytes([number]) * size


def klv_packets(number: int, timestamp: int, sequence: int) -> list[bytes]:
    unit = klv_unit(number)
    parts = [unit[at : at + 1300] for at in range(0, len(unit), 1300)]
    return [
        bytes([0x80, 98 | (part is parts[-1]) << 7])
        + (sequence + index).to_bytes(2, "big")
        + timestamp.to_bytes(4, "big")
        + b"\0\0\0\2"
        + part
        for index, part in enumerate(parts)
    ]


async def send_with_klv(client: Any, video: Video) -> None:
    """Send the pictures at their pace, each with a unit of KLV."""
    camera, sequence = Packetizer("H264", Habits(), first_timestamp=0), 0
    for number, (nalus, shown) in enumerate(video.pictures):
        for packet in camera.packets(nalus, shown):
            await client.send(Interleaved(0, packet).encode())
        for packet in klv_packets(number, 500_000 + number * CLOCK_HZ // RATE, sequence):
            sequence += 1
            await client.send(Interleaved(2, packet).encode())
        await anyio.sleep(1 / RATE)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return encode(tmp_path_factory.mktemp("video"), "H264", *H264[:-2], "-bf", "0")


@pytest.mark.parametrize("form", ["mpegts", "fmp4"])
async def test_klv_is_relayed_and_recorded_to_mpegts_only(
    media: Any, rtsp: Any, pictures: Video, form: str
) -> None:
    await media.add("cam", record=True, recordFormat=form, recordPartDuration="250ms")
    async with rtsp() as client, rtsp() as reader:
        await client.publish(
            "cam", described(pictures.media_with_sets.replace("trackID", "streamid") + KLV), 2
        )
        path = await media.until("/v3/paths/get/cam", {"ready": True})
        assert path["tracks"] == ["H264", "KLV"]
        description = (await reader.ask("DESCRIBE", "cam")).body.decode()
        assert "smpte336m/90000" in description.lower()
        await send_with_klv(client, pictures)
    await media.until("/v3/paths/get/cam", {"ready": False})
    (file,) = await media.recorded("cam")
    if form == "fmp4":
        assert codecs(file) == ["h264"]
        return
    found = [(times_of(packet)[1], bytes(packet)) for packet in packets(file, "data")]
    sent = [klv_unit(number) for number in range(len(pictures.pictures))]
    assert len(found) >= len(sent) - 1
    assert {data for _, data in found} <= set(sent)
    assert all(0 < after - before < 0.2 for (before, _), (after, _) in pairwise(found))


NO_CONFIG = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\na=control:streamid=1\r\n"
OTHER_NUMBER = (
    f"{NO_CONFIG}a=fmtp:104 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\r\n"
)


@pytest.mark.parametrize("sound", [NO_CONFIG, OTHER_NUMBER], ids=["no-config", "number-of-another-format"])
async def test_aac_without_a_usable_configuration(media: Any, rtsp: Any, pictures: Video, sound: str) -> None:
    """Seen with Hikvision; see https://github.com/bluenviron/mediacommon/issues/144."""
    await media.add("cam")
    description = described(pictures.media_with_sets.replace("trackID", "streamid") + sound)
    async with rtsp() as client:
        if media.server.kind == "real":
            headers = {"Content-Type": "application/sdp"}
            assert (await client.ask("ANNOUNCE", "cam", headers, description)).status == 400
            return
        await client.publish("cam", description, 2)
        path = await media.until("/v3/paths/get/cam", {"ready": True})
    assert path["tracks"] == ["H264", "MPEG-4 Audio"]
    assert path["tracks2"][1]["codecProps"] == {"sampleRate": 16_000, "channelCount": 1}


async def test_what_the_container_cannot_hold_is_left_out(
    media: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = await recorded(media, "mpegts", H264, MU_LAW, length_s=1)
    assert codecs(file) == ["h264"]
    if media.server.kind == "embedded":
        assert "skipping track 2 (G711)" in caplog.text


@pytest.mark.parametrize("form", ["fmp4", "mpegts"])
async def test_aac_in_latm_is_recorded_by_mediamtx_only(
    media: Any, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = await recorded(media, form, H264, AAC, "-rtpflags", "latm", length_s=1.5)
    if media.server.kind == "real":
        assert codecs(file) == ["h264", "aac"]
        return
    assert codecs(file) == ["h264"]
    assert "skipping track 2 (MPEG-4 Audio LATM)" in caplog.text


async def test_sound_alone_is_recorded(media: Any) -> None:
    await media.add("cam", record=True, recordPartDuration="250ms")
    output = ("-f", "rtsp", "-rtsp_transport", "tcp", f"{media.server.rtsp_url}/cam")
    async with child((ffmpeg.locate(), *ffmpeg.QUIET, "-f", "lavfi", "-i", BEEP, *AAC, *output)):
        (file,) = await media.recorded("cam")
        await anyio.sleep(2.5)
        await media.patch("cam", record=False)
        await media.finished(file)
    assert codecs(file) == ["aac"]
    heard = beeps(file)
    assert [round(after - before, 1) for before, after in pairwise(heard)] == [1.0] * (len(heard) - 1)
    assert len(heard) >= 2


def uav(address: str) -> None:
    """Send H.264 and KLV as MPEG-TS over UDP for some seconds, made by PyAV; blocks."""
    with av.open(address, "w", format="mpegts", options={"pkt_size": "1316"}) as out:
        pictures, data = out.add_stream("h264", RATE), out.add_data_stream("klv")
        pictures.width, pictures.height, pictures.pix_fmt = 128, 96, "yuv420p"
        pictures.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "8"}
        for number in range(5 * RATE):
            frame = av.VideoFrame(128, 96, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(pictures.encode(frame))
            packet = av.Packet(klv_unit(number % 100))
            packet.stream, packet.time_base = data, Fraction(1, RATE)
            packet.pts = packet.dts = number
            out.mux(packet)
            time.sleep(1 / RATE)
        out.mux(pictures.encode(None))


async def test_a_udp_source_is_silent_until_packets_come_and_has_klv(
    media: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, port = free_ports()
    address = f"127.0.0.1:{port}"
    await media.add(
        "cam",
        source=f"udp+mpegts://{address}",
        record=True,
        recordFormat="mpegts",
        recordPartDuration="250ms",
    )
    if media.server.kind == "embedded":
        assert (
            "an unsupported kind, udp+mpegts://; this server pulls rtsp:// only, MediaMTX others too"
            in caplog.text
        )
        return
    assert not (await media.api.get("/v3/paths/get/cam")).json()["ready"]
    async with anyio.create_task_group() as tg:
        tg.start_soon(anyio.to_thread.run_sync, uav, f"udp://{address}")
        path = await media.until("/v3/paths/get/cam", {"ready": True})
        assert path["tracks"] == ["H264", "KLV"]
        (file,) = await media.recorded("cam")
    await media.patch("cam", record=False)
    found = [bytes(packet) for packet in packets(file, "data")]
    assert len(found) > 2 * RATE
    assert set(found) <= {klv_unit(number) for number in range(100)}
