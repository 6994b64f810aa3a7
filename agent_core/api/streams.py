"""The methods about live streams."""

from dataclasses import dataclass
from datetime import datetime

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
from agent_core.api.views import Forms
from agent_core.auth.roles import Role
from agent_core.base.errors import InvalidState, Unsupported
from agent_core.base.models import Camera, CameraId
from agent_core.controller import Controller
from agent_core.mediamtx.schema import RuntimePath
from agent_core.rpc.table import Caller, Method
from agent_core.streams.models import MODE_REASONS, PublishMode, StreamState

__all__ = ("stream_methods",)


@dataclass(frozen=True)
class _Handlers:
    controller: Controller
    forms: Forms
    auto_close_after_s: float
    started: dict[tuple[str, CameraId], datetime]

    async def start_streaming(self, params: DeviceParams, caller: Caller) -> StreamStarted:
        camera = self.controller.cameras.get(params.device)
        holder = f"session:{caller.session.id}"
        streams = self.controller.streams
        publisher = streams.plan.command(camera)
        await streams.ensure(camera)
        had_one = streams.has_lease(camera.id, holder)
        streams.acquire(camera.id, holder)
        caller.session.on_close(holder + camera.id, lambda: self._release(camera.id, holder))
        try:
            await streams.wait_live(camera.id)
        except BaseException:
            if not had_one:
                self._release(camera.id, holder)
            raise
        now = self.started.setdefault((holder, camera.id), self.controller.clock.now())
        return StreamStarted(
            device=camera.id,
            stream_name=camera.id,
            stream_url=self.forms.streams(camera).rtsp,
            start_time=now,
            auto_close_after=self.auto_close_after_s,
            ffmpeg_command=publisher.redacted if publisher else "",
        )

    def _release(self, camera: CameraId, holder: str) -> bool:
        self.started.pop((holder, camera), None)
        return self.controller.streams.release(camera, holder)

    async def stop_streaming(self, params: DeviceParams, caller: Caller) -> StreamStopped:
        camera = self.controller.cameras.get(params.device)
        holder = f"session:{caller.session.id}"
        if not self.controller.streams.has_lease(camera.id, holder):
            raise InvalidState(
                f"This connection does not stream {camera.id}.",
                state="INACTIVE",
                allowed_states=("ACTIVE", "STARTING"),
                reason="not_streaming",
                suggestion="Only the connection that called start_streaming can end its own hold.",
            )
        ended_at = self.controller.clock.now()
        started_at = self.started.get((holder, camera.id), ended_at)
        continues = self._release(camera.id, holder)
        seen = await self.controller.stream_path(camera.id)  # the hold has ended even if nobody can say more
        return StreamStopped(
            device=camera.id,
            stream_name=camera.id,
            start_time=started_at,
            end_time=ended_at,
            duration=round((ended_at - started_at).total_seconds(), 3),
            stream_continues=continues or self.controller.streams.viewers(seen.path) > 0,
        )

    async def get_stream_url(self, params: DeviceParams, caller: Caller) -> StreamUrlForm:
        camera = self.controller.cameras.get(params.device)
        path = await self.controller.streams.runtime(camera.id)
        live = path is not None and path.live
        if not live and camera.media_input is not None:
            await self.controller.streams.ensure(camera)  # so that the address that is answered opens
        state, _ = self.controller.streams.state(camera.id)
        failed = state is StreamState.ERROR and not live
        return StreamUrlForm(
            device=camera.id,
            stream_name=camera.id,
            stream_url=self.forms.streams(camera).rtsp,
            available=live,
            active_consumers=self.controller.streams.viewers(path),
            stream_status="READY" if live else "ERROR" if failed else "NOT_READY",
        )

    async def get_stream_status(self, params: DeviceParams, caller: Caller) -> StreamStatusForm:
        camera = self.controller.cameras.get(params.device)
        path = await self.controller.streams.runtime(camera.id)
        state, problem = self.controller.streams.state(camera.id)
        live = path is not None and path.live
        mode = self.controller.streams.plan.mode(camera)
        return StreamStatusForm(
            device=camera.id,
            stream_name=camera.id,
            status="ACTIVE" if live else state.value if state is not StreamState.ACTIVE else "STARTING",
            ready=live,
            mode=mode,
            mode_reason=MODE_REASONS[mode],
            ffmpeg_process=self._process(camera, path),
            mediamtx_path=PathForm(
                exists=path is not None, ready=live, readers=self.controller.streams.viewers(path)
            ),
            metrics=StreamMetrics(
                bytes_sent=path.outbound_bytes if path else 0,
                frames_sent=self.controller.streams.progress.frames(camera.id) if live else None,
                bitrate=self.controller.streams.bitrate(camera.id),
                fps=camera.detected.fps if live else None,
            ),
            start_time=path.live_since if path else None,
            reason=problem.reason if problem and not live else None,
        )

    def _process(self, camera: Camera, path: RuntimePath | None) -> FfmpegProcess:
        """Where the media server runs it, all that can be seen is whether it publishes."""
        if self.controller.streams.plan.mode(camera) is not PublishMode.AGENT:
            running = path is not None and path.live and _is_published(path)
            return FfmpegProcess(running=running, pid=None, uptime=None)
        process = self.controller.streams.publishers.process(camera.id)
        if process is None:
            return FfmpegProcess(running=False, pid=None, uptime=None)
        age_s = self.controller.clock.monotonic_s() - process.started_s
        return FfmpegProcess(running=True, pid=process.pid, uptime=round(age_s, 3))

    async def get_streams(self, params: NoParams, caller: Caller) -> list[StreamEntry]:
        return [
            StreamEntry(
                name=path.name,
                source=path.source.type if path.source else None,
                ready=path.live,
                readers=self.controller.streams.viewers(path),
                bytes_sent=path.outbound_bytes,
            )
            for path in await self.controller.streams.all_runtime()
        ]


def _is_published(path: RuntimePath) -> bool:
    return path.source is not None and path.source.type.endswith("Session")


def _of_holds(do: _Handlers) -> list[Method]:
    return [
        Method(
            "start_streaming",
            Role.OPERATOR,
            "Hold a live stream for this connection.",
            DeviceParams,
            StreamStarted,
            do.start_streaming,
            errors=(Unsupported,),
        ),
        Method(
            "stop_streaming",
            Role.OPERATOR,
            "End this connection's hold on a live stream.",
            DeviceParams,
            StreamStopped,
            do.stop_streaming,
            errors=(InvalidState,),
        ),
    ]


def _of_states(do: _Handlers) -> list[Method]:
    return [
        Method(
            "get_stream_url",
            Role.VIEWER,
            "Where a camera's stream is.",
            DeviceParams,
            StreamUrlForm,
            do.get_stream_url,
            errors=(Unsupported,),
        ),
        Method(
            "get_stream_status",
            Role.VIEWER,
            "How a camera's stream is.",
            DeviceParams,
            StreamStatusForm,
            do.get_stream_status,
            omit_none=False,
            errors=(Unsupported,),
        ),
        Method(
            "get_streams",
            Role.VIEWER,
            "All streams of the media server.",
            NoParams,
            list[StreamEntry],
            do.get_streams,
            omit_none=False,
            errors=(Unsupported,),
        ),
    ]


def stream_methods(controller: Controller, forms: Forms, *, auto_close_after_s: float) -> list[Method]:
    """The rows of the method table."""
    do = _Handlers(controller, forms, auto_close_after_s, {})
    return [*_of_holds(do), *_of_states(do)]
