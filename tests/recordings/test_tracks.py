"""Format of a recording, and what a client learns about its tracks."""

import pytest

from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath
from agent_core.recordings.models import RecordingFormat
from agent_core.recordings.tracks import chosen
from agent_core.streams.sightings import Sightings
from agent_core.streams.tracks import codec_name, served_for

FMP4, MPEGTS = RecordingFormat.FMP4, RecordingFormat.MPEGTS
UAV = ("H264", "KLV")


def test_data_that_fmp4_cannot_hold_chooses_mpegts() -> None:
    assert chosen(None, ("H264", "AAC")) == chosen(FMP4, ("H265", "OPUS"))
    choice = chosen(None, UAV)
    assert choice.format is MPEGTS
    assert choice.notes == ("The format is mpegts, because fmp4 cannot hold the track KLV.",)
    assert chosen(None, (), offered=UAV).format is MPEGTS


def test_a_chosen_format_is_kept_and_the_result_says_what_it_means_for_the_data() -> None:
    assert chosen(FMP4, UAV).format is FMP4
    assert chosen(FMP4, UAV).notes == ("The track KLV is left out: fmp4 cannot hold it; mpegts can.",)
    assert chosen(MPEGTS, UAV).notes == ("The track KLV is recorded.",)


def test_sound_that_mpegts_cannot_hold_is_said() -> None:
    assert chosen(MPEGTS, ("H264", "G711")).notes == (
        "The track G711 is left out: mpegts cannot hold it; fmp4 can.",
    )


def test_data_that_the_media_server_does_not_carry_is_said() -> None:
    choice = chosen(None, ("H264",), offered=UAV)
    assert choice.format is FMP4
    assert choice.notes == ("The media server does not carry the track KLV.",)


@pytest.mark.parametrize("is_embedded", [True, False])
def test_the_embedded_server_records_fewer_codecs(*, is_embedded: bool) -> None:
    expected = (
        ("The track VP9 is left out: the media server records it to no format.",) if is_embedded else ()
    )
    assert chosen(FMP4, ("VP9",), is_embedded=is_embedded).notes == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("MPEG-4 Audio", "AAC"), ("Opus", "OPUS"), ("PCMA", "G711"), ("smpte336m", "KLV"), ("H264", "H264")],
)
def test_names_of_the_server_and_of_descriptions_become_those_of_the_project(
    name: str, expected: str
) -> None:
    assert codec_name(name) == expected


@pytest.mark.parametrize(
    ("tracks", "served"),
    [
        ((), ("rtsp", "hls", "webrtc")),
        (("H265", "AAC"), ("rtsp", "hls", "webrtc")),
        (("MJPEG",), ("rtsp",)),
        (("MJPEG", "AAC"), ("rtsp",)),
        (("VP8", "OPUS"), ("rtsp", "webrtc")),
        (("G711",), ("rtsp", "webrtc")),
        (("KLV",), ("rtsp",)),
    ],
)
def test_only_protocols_that_serve_the_video_are_named(
    tracks: tuple[str, ...], served: tuple[str, ...]
) -> None:
    assert served_for(("rtsp", "hls", "webrtc"), tracks) == served


def test_the_tracks_of_a_stream_are_known_from_when_it_is_live_and_stay_known() -> None:
    sightings, camera = Sightings(), CameraId("camera0")
    assert sightings.tracks(camera) == ()
    shown = {"name": "camera0", "ready": True, "tracks": ["H264", "MPEG-4 Audio", "KLV"]}
    sightings.saw(camera, RuntimePath.model_validate(shown), 1.0)
    assert sightings.tracks(camera) == ("H264", "AAC", "KLV")
    sightings.saw(camera, None, 2.0)
    assert sightings.tracks(camera) == ("H264", "AAC", "KLV")


def test_streams_that_come_and_go_leave_few_tracks_behind() -> None:
    sightings = Sightings()
    for number in range(1500):
        shown = {"name": f"camera{number}", "ready": True, "tracks": ["H264"]}
        sightings.saw(CameraId(f"camera{number}"), RuntimePath.model_validate(shown), 1.0)
    known = [number for number in range(1500) if sightings.tracks(CameraId(f"camera{number}"))]
    assert known == list(range(500, 1500))
