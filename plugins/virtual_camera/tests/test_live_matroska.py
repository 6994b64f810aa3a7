"""Reader of FFmpeg's live Matroska, with what FFmpeg writes and with damage."""

import random
import subprocess

import pytest

from agent_core.plugin import VideoCodec, ffmpeg
from agent_core.plugin.video import AnnexBReader, is_entry
from virtual_camera.ffmpeg_arguments import arguments
from virtual_camera.live_matroska import MatroskaReader
from virtual_camera.settings import CameraSettings
from virtual_camera.timed_picture import DamagedOutput, TimedPicture

PICTURES = 12


@pytest.fixture(scope="module", params=[VideoCodec.H264, VideoCodec.H265])
def codec(request: pytest.FixtureRequest) -> VideoCodec:
    return VideoCodec(request.param)


@pytest.fixture(scope="module")
def written(codec: VideoCodec) -> bytes:
    camera = CameraSettings(name="a", width=160, height=120, fps=30, codec=codec, key_interval_s=0.2)
    words = arguments(camera, 1)
    limited = (*words[:-1], "-frames:v", str(PICTURES), words[-1])
    return subprocess.run((ffmpeg.locate(), *ffmpeg.QUIET, *limited), capture_output=True, check=True).stdout


def read(pieces: list[bytes]) -> list[TimedPicture]:
    reader = MatroskaReader()
    return [picture for piece in pieces for picture in reader.feed(piece)]


def test_each_picture_has_its_time_and_key_frames_come_as_often_as_configured(
    codec: VideoCodec, written: bytes
) -> None:
    found = read([written])
    assert len(found) == PICTURES
    times = [each.time_ms for each in found]
    assert times == sorted(set(times))
    readers = [AnnexBReader() for _ in found]
    units = [(*reader.feed(each.data), reader.flush()) for reader, each in zip(readers, found, strict=True)]
    assert [number for number, each in enumerate(units) if is_entry(codec, each)] == [0, 6]


def test_pieces_of_any_size_give_the_same(written: bytes) -> None:
    whole = read([written])
    assert read([written[at : at + 1] for at in range(len(written))]) == whole
    chance = random.Random(3)
    at, pieces = 0, []
    while at < len(written):
        size = chance.randrange(1, 5000)
        pieces.append(written[at : at + size])
        at += size
    assert read(pieces) == whole


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_told_or_gives_other_pictures_and_nothing_else(written: bytes, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(written)
    for _ in range(5):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        assert len(read([bytes(data)])) <= PICTURES
    except DamagedOutput as error:
        assert str(error).endswith(".")


@pytest.mark.parametrize(
    "data",
    [b"\0", b"not Matroska", b"\x1f\x43\xb6\x75\x81\0", b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff"],
)
def test_other_data_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedOutput):
        read([data])
