"""Examples of the methods about live streams."""

from agent_core.api.examples.story import CAMERA, STARTED_AT, STOPPED_AT
from agent_core.api.schema.params import DeviceParams, NoParams
from agent_core.api.schema.streams import (
    FfmpegProcess,
    PathForm,
    StreamEntry,
    StreamMetrics,
    StreamStarted,
    StreamStatusForm,
    StreamStopped,
    StreamUrlForm,
)
from agent_core.plugin import MethodExample
from agent_core.streams.models import MODE_REASONS, PublishMode

__all__ = ("get_stream_status", "get_stream_url", "get_streams", "start_streaming", "stop_streaming")

_URL = f"rtsp://127.0.0.1:8554/{CAMERA}"
_LIVE = ("start_streaming",)


def start_streaming() -> MethodExample:
    started = StreamStarted(
        device=CAMERA,
        stream_name=CAMERA,
        stream_url=_URL,
        start_time=STARTED_AT,
        auto_close_after="10s",
        ffmpeg_command="ffmpeg -nostdin -i INPUT -map 0:v:0 -an -c:v libx264 -f rtsp OUTPUT",
    )
    return MethodExample(DeviceParams(device=CAMERA), started)


def stop_streaming() -> MethodExample:
    stopped = StreamStopped(
        device=CAMERA,
        stream_name=CAMERA,
        start_time=STARTED_AT,
        end_time=STOPPED_AT,
        duration=12.0,
        stream_continues=False,
    )
    return MethodExample(DeviceParams(device=CAMERA), stopped, after=_LIVE)


def get_stream_url() -> MethodExample:
    address = StreamUrlForm(
        device=CAMERA,
        stream_name=CAMERA,
        stream_url=_URL,
        available=True,
        active_consumers=0,
        stream_status="READY",
    )
    return MethodExample(DeviceParams(device=CAMERA), address, after=_LIVE)


def get_stream_status() -> MethodExample:
    status = StreamStatusForm(
        device=CAMERA,
        stream_name=CAMERA,
        status="ACTIVE",
        ready=True,
        mode=PublishMode.SERVER,
        mode_reason=MODE_REASONS[PublishMode.SERVER],
        ffmpeg_process=FfmpegProcess(running=True, pid=4211, uptime=12.4),
        mediamtx_path=PathForm(exists=True, ready=True, readers=0),
        metrics=StreamMetrics(bytes_sent=0, frames_sent=180, bitrate=1_573_000.0, fps=15.0),
        start_time=STARTED_AT,
    )
    return MethodExample(DeviceParams(device=CAMERA), status, after=_LIVE)


def get_streams() -> MethodExample:
    entry = StreamEntry(name=CAMERA, source="rtspSession", ready=True, readers=0, bytes_sent=0)
    return MethodExample(NoParams(), [entry], after=_LIVE)
