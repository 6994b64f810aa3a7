"""Examples of the methods about recordings."""

from agent_core.api.examples.story import CAMERA, RECORDING, SEGMENT, STARTED_AT, STOPPED_AT, link
from agent_core.api.schema import recordings as wire
from agent_core.api.schema.params import Deleted, DeviceParams, ListParams, NameParams
from agent_core.plugin import MethodExample
from agent_core.recordings.models import RecordingFormat

__all__ = (
    "delete_recording",
    "get_recording_info",
    "list_recordings",
    "start_recording",
    "stop_recording",
)

_SIZE_BYTES = 2_361_000
_DURATION_S = 11.975
_STORED = ("start_recording", "stop_recording")


def start_recording() -> MethodExample:
    """Wait for the first bytes: a recording that is stopped before has no media to list."""
    started = wire.RecordingStarted(
        device=CAMERA,
        filename=RECORDING,
        status="RECORDING",
        start_time=STARTED_AT,
        format=RecordingFormat.FMP4,
        auto_stop=False,
    )
    return MethodExample(wire.StartRecordingParams(device=CAMERA, wait=True), started)


def stop_recording() -> MethodExample:
    stopped = wire.RecordingStopped(
        device=CAMERA,
        filename=RECORDING,
        start_time=STARTED_AT,
        end_time=STOPPED_AT,
        duration=12,
        file_size=_SIZE_BYTES,
        format=RecordingFormat.FMP4,
        segments=[wire.SegmentForm(filename=SEGMENT, file_size=_SIZE_BYTES, duration=_DURATION_S)],
    )
    return MethodExample(DeviceParams(device=CAMERA), stopped, after=("start_recording",))


def list_recordings() -> MethodExample:
    stored = wire.RecordingFile(
        filename=RECORDING,
        device=CAMERA,
        file_size=_SIZE_BYTES,
        modified_time=STOPPED_AT,
        duration=_DURATION_S,
        format=RecordingFormat.FMP4,
        download_url=link(f"recordings/{RECORDING}.mp4"),
        thumbnail_url=link(f"thumbnails/recordings/{RECORDING}.jpg"),
    )
    return MethodExample(
        ListParams(device=CAMERA, limit=10),
        wire.RecordingFileList(files=[stored], total=1, limit=10, offset=0),
        after=_STORED,
    )


def get_recording_info() -> MethodExample:
    segment = wire.SegmentFile(
        filename=SEGMENT,
        file_size=_SIZE_BYTES,
        duration=_DURATION_S,
        download_url=link(f"recordings/{RECORDING}/{SEGMENT}"),
    )
    info = wire.RecordingInfo(
        filename=RECORDING,
        device=CAMERA,
        file_size=_SIZE_BYTES,
        duration=_DURATION_S,
        created_time=STARTED_AT,
        format=RecordingFormat.FMP4,
        complete=True,
        segments=[segment],
        download_url=link(f"recordings/{RECORDING}.mp4"),
        thumbnail_url=link(f"thumbnails/recordings/{RECORDING}.jpg"),
    )
    return MethodExample(NameParams(filename=RECORDING), info, after=_STORED)


def delete_recording() -> MethodExample:
    deleted = Deleted(filename=RECORDING, message="The recording was deleted.")
    return MethodExample(NameParams(filename=RECORDING), deleted, after=_STORED)
