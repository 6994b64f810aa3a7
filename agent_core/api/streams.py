"""Methods about live streams, and the wire form of streams."""

from dataclasses import dataclass

from agent_core.api.examples import streams as examples
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
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound, Unsupported
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method
from agent_core.streams.models import MODE_REASONS, StreamStatus

__all__ = ("stream_methods",)


def _holder(caller: Caller) -> str:
    """Return the holder name of the caller's connection."""
    return f"session:{caller.session.id}"


def _duration(duration_s: float) -> str:
    """Return a duration as clients read it, such as `10s` or `2.5s`."""
    return f"{duration_s:.3f}".rstrip("0").rstrip(".") + "s"


def _status_form(status: StreamStatus) -> StreamStatusForm:
    publisher, uptime_s = status.publisher, status.publisher.uptime_s
    return StreamStatusForm(
        device=status.camera,
        stream_name=status.camera,
        status=status.state.value,
        ready=status.is_live,
        mode=status.mode,
        mode_reason=MODE_REASONS[status.mode],
        ffmpeg_process=FfmpegProcess(
            running=publisher.is_running,
            pid=publisher.pid,
            uptime=None if uptime_s is None else round(uptime_s, 3),
        ),
        mediamtx_path=PathForm(exists=status.has_path, ready=status.is_live, readers=status.viewers),
        metrics=StreamMetrics(
            bytes_sent=status.sent_bytes,
            frames_sent=status.sent_frames,
            bitrate=status.bits_per_s,
            fps=status.frames_per_s,
        ),
        start_time=status.live_since,
        reason=status.problem.reason if status.problem else None,
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about streams."""

    controller: Controller

    async def start_streaming(self, params: DeviceParams, caller: Caller) -> StreamStarted:
        camera, holder = self.controller.camera(params.device).camera.id, _holder(caller)
        caller.session.on_close(
            holder + camera, lambda: self.controller.release_stream(camera, holder=holder)
        )
        started = await self.controller.start_streaming(params.device, holder=holder)
        return StreamStarted(
            device=camera,
            stream_name=camera,
            stream_url=started.url,
            start_time=started.started_at,
            auto_close_after=_duration(started.close_after_s),
            ffmpeg_command=started.command,
        )

    async def stop_streaming(self, params: DeviceParams, caller: Caller) -> StreamStopped:
        stopped = await self.controller.stop_streaming(params.device, holder=_holder(caller))
        return StreamStopped(
            device=stopped.camera,
            stream_name=stopped.camera,
            start_time=stopped.started_at,
            end_time=stopped.ended_at,
            duration=round((stopped.ended_at - stopped.started_at).total_seconds(), 3),
            stream_continues=stopped.continues,
        )

    async def get_stream_url(self, params: DeviceParams, caller: Caller) -> StreamUrlForm:
        address = await self.controller.stream_address(params.device)
        return StreamUrlForm(
            device=address.camera,
            stream_name=address.camera,
            stream_url=address.url,
            available=address.is_available,
            active_consumers=address.viewers,
            stream_status="READY" if address.is_live else "ERROR" if address.has_failed else "NOT_READY",
        )

    async def get_stream_status(self, params: DeviceParams, caller: Caller) -> StreamStatusForm:
        return _status_form(await self.controller.stream_status(params.device))

    async def get_streams(self, params: NoParams, caller: Caller) -> list[StreamEntry]:
        return [
            StreamEntry(
                name=stream.name,
                source=stream.source,
                ready=stream.is_live,
                readers=stream.viewers,
                bytes_sent=stream.sent_bytes,
            )
            for stream in await self.controller.streams()
        ]


def _hold_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            "start_streaming",
            Role.OPERATOR,
            "Keep a stream live for this connection.",
            DeviceParams,
            StreamStarted,
            do.start_streaming,
            errors=(NotFound, InvalidState, Unsupported, DependencyFailed),
            example=examples.start_streaming,
        ),
        Method(
            "stop_streaming",
            Role.OPERATOR,
            "End this connection's hold on a stream.",
            DeviceParams,
            StreamStopped,
            do.stop_streaming,
            errors=(NotFound, InvalidState),
            example=examples.stop_streaming,
        ),
    ]


def _status_methods(do: _Handlers) -> list[Method]:
    return [
        Method(
            "get_stream_url",
            Role.VIEWER,
            "Return the URL of a camera's stream.",
            DeviceParams,
            StreamUrlForm,
            do.get_stream_url,
            errors=(NotFound, Unsupported, DependencyFailed),
            example=examples.get_stream_url,
        ),
        Method(
            "get_stream_status",
            Role.VIEWER,
            "Return the status of a camera's stream.",
            DeviceParams,
            StreamStatusForm,
            do.get_stream_status,
            errors=(NotFound, Unsupported, DependencyFailed),
            example=examples.get_stream_status,
        ),
        Method(
            "get_streams",
            Role.VIEWER,
            "List all streams of the media server.",
            NoParams,
            list[StreamEntry],
            do.get_streams,
            errors=(Unsupported, DependencyFailed),
            example=examples.get_streams,
        ),
    ]


def stream_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller)
    return [*_hold_methods(do), *_status_methods(do)]
