"""Service of streams for clients: holds, addresses, status."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from agent_core.base.clock import Clock
from agent_core.base.errors import InvalidState
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import Camera, CameraId, CameraStatus
from agent_core.mediamtx.paths import PathCounters
from agent_core.mediamtx.schema import RuntimePath
from agent_core.streams.addresses import StreamAddresses
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.leases import StreamLeases
from agent_core.streams.models import (
    AWAITED,
    CameraTraffic,
    MediaAddresses,
    PublisherStatus,
    PublishMode,
    ServerStream,
    StartedStream,
    StoppedStream,
    StreamAddress,
    StreamState,
    StreamStatus,
)
from agent_core.streams.tracks import offered_tracks
from agent_core.streams.traffic import PathTraffic, TrafficTotals

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ("StreamService",)


class StreamService:
    """Starts and stops streams for holders, and reports their addresses and status.

    A holder is a name, for example that of a connection, under which a stream is kept live. Call `release` when the
    holder is gone.
    """

    def __init__(
        self,
        streams: StreamLeases,
        paths: CameraPaths,
        addresses: StreamAddresses,
        *,
        close_after_s: float,
        clock: Clock,
    ) -> None:
        """Serve streams; the media server ends one after `close_after_s` without readers."""
        self._streams = streams
        self._paths = paths
        self._addresses = addresses
        self._close_after_s = close_after_s
        self._clock = clock
        self._started: dict[tuple[str, CameraId], datetime] = {}

    @property
    def addresses(self) -> MediaAddresses:
        """The addresses at which clients reach the media server now."""
        return self._addresses.now()

    @property
    def has_server(self) -> bool:
        """True if a media server is configured, whether it runs or not."""
        return self._addresses.has_server

    @property
    def totals(self) -> TrafficTotals:
        """The numbers of the media server's streams and viewers at its last answer; from memory."""
        return self._paths.traffic.totals(self._clock.monotonic_s())

    @property
    def path_counters(self) -> Mapping[str, PathCounters]:
        """The counters of each path that the agent has configured; from memory."""
        return self._paths.counters

    def traffic_of(self, cameras: Iterable[CameraId]) -> Mapping[CameraId, PathTraffic]:
        """Return the traffic of each of `cameras`, as the media server's last answers showed it; from memory."""
        return self._paths.traffic.by_camera(cameras, self._clock.monotonic_s())

    def add_metrics(self, registry: MetricRegistry, cameras: Callable[[], Iterable[CameraId]]) -> None:
        """Describe the streams; `cameras` returns the cameras whose series are shown."""
        registry.gauge("camera_agent_streams", "Paths of the media server.", lambda: self.totals.paths)
        registry.gauge(
            "camera_agent_streams_live", "Paths of the media server with a stream.", lambda: self.totals.live
        )
        registry.gauge(
            "camera_agent_viewers", "Readers of all streams of the media server.", lambda: self.totals.viewers
        )
        self._add_by_camera(registry, cameras)

    def _add_by_camera(self, registry: MetricRegistry, cameras: Callable[[], Iterable[CameraId]]) -> None:
        def by_camera(read: Callable[[PathTraffic], int]) -> Callable[[], dict[tuple[str, ...], float]]:
            return lambda: {(name,): read(each) for name, each in self.traffic_of(cameras()).items()}

        registry.gauge(
            "camera_agent_stream_live",
            "1 while a camera's stream can be read, 0 if not or if that is unknown.",
            by_camera(lambda traffic: int(traffic.is_live)),
            labels=("camera",),
        )
        registry.gauge(
            "camera_agent_stream_viewers",
            "Readers of a camera's stream without the agent's own.",
            by_camera(lambda traffic: traffic.viewers),
            labels=("camera",),
        )
        registry.counter(
            "camera_agent_stream_received_bytes_total",
            "Bytes that the media server received of a camera's streams.",
            by_camera(lambda traffic: traffic.received_bytes),
            labels=("camera",),
        )
        registry.counter(
            "camera_agent_stream_sent_bytes_total",
            "Bytes that the media server sent of a camera's streams.",
            by_camera(lambda traffic: traffic.sent_bytes),
            labels=("camera",),
        )

    async def start(self, camera: Camera, holder: str) -> StartedStream:
        """Keep the camera's stream live for `holder`; return when it is live.

        A lease that this call took is given back if the stream does not start or the call is cancelled.

        Raises:
            CaptureFailed, Unsupported: the camera cannot be streamed.
            MediaServerError: the media server refused, or there is none.
        """
        publisher = self._paths.plan.command(camera)
        await self._paths.ensure(camera)
        had_lease = self._streams.has_lease(camera.id, holder)
        self._streams.acquire(camera.id, holder)
        try:
            await self._streams.wait_live(camera.id)
        except BaseException:
            if not had_lease:
                self.release(camera.id, holder)
            raise
        return StartedStream(
            camera=camera.id,
            url=self.addresses.rtsp_url(camera.id),
            started_at=self._started.setdefault((holder, camera.id), self._clock.now()),
            close_after_s=self._close_after_s,
            command=publisher.redacted if publisher else "",
        )

    def tracks(self, camera: Camera) -> tuple[str, ...]:
        """Return the codecs of the camera's stream: those that the media server has shown, else those of its source."""
        return self._paths.sightings.tracks(camera.id) or self.offered_tracks(camera)

    def offered_tracks(self, camera: Camera) -> tuple[str, ...]:
        """Return the codecs that the camera's source reports; the media server may not carry all of them."""
        return offered_tracks(camera.detected)

    @property
    def has_embedded_server(self) -> bool:
        """True if the media server is the embedded one, which records fewer codecs than MediaMTX."""
        return self._paths.plan.has_embedded_server

    def release(self, camera: CameraId, holder: str) -> bool:
        """Give the lease of `holder` back, if it has one; return True if others keep the stream live."""
        self._started.pop((holder, camera), None)
        return self._streams.release(camera, holder)

    async def stop(self, camera: Camera, holder: str) -> StoppedStream:
        """Give the lease of `holder` back.

        Raises:
            InvalidState: `holder` has no lease on this stream.
        """
        if not self._streams.has_lease(camera.id, holder):
            raise _not_streaming(camera.id)
        ended_at = self._clock.now()
        started_at = self._started.get((holder, camera.id), ended_at)
        is_held = self.release(camera.id, holder)
        traffic = await self.traffic(camera.id)  # answered from memory if the media server is silent
        return StoppedStream(camera.id, started_at, ended_at, continues=is_held or traffic.viewers > 0)

    async def address(self, camera: Camera) -> StreamAddress:
        """Return the stream's RTSP address, and whether opening it works; make a missing path.

        Raises:
            MediaServerError, Unsupported, CaptureFailed: the path cannot be made or read.
        """
        path = await self._paths.runtime(camera.id)
        is_live = path is not None and path.live
        if not is_live and camera.media_input is not None:
            is_live = await self._is_live_after_all(camera)
        state, _ = self._streams.state(camera.id)
        has_failed = state is StreamState.ERROR and not is_live
        return StreamAddress(
            camera=camera.id,
            url=self.addresses.rtsp_url(camera.id),
            is_live=is_live,
            is_available=is_live or (not has_failed and self._starts_on_demand(camera)),
            has_failed=has_failed,
            viewers=self._paths.viewers(path),
        )

    async def _is_live_after_all(self, camera: Camera) -> bool:
        """Make a missing path; return True if another program feeds it, and has begun to since the path was read."""
        try:
            await self._paths.ensure(camera)
        except InvalidState:
            return True
        return False

    def _starts_on_demand(self, camera: Camera) -> bool:
        """Return True if the media server starts the stream of the camera for a reader; it cannot ask the agent to."""
        is_usable = camera.status is CameraStatus.CONNECTED and camera.media_input is not None
        return is_usable and self._paths.plan.mode(camera) is not PublishMode.AGENT

    async def status(self, camera: Camera) -> StreamStatus:
        """Return the stream's status. Raises MediaServerError or Unsupported."""
        path = await self._paths.runtime(camera.id)
        is_live = path is not None and path.live
        state, problem = self._streams.state(camera.id)
        if is_live:
            state = StreamState.ACTIVE
        elif state is StreamState.ACTIVE:
            state = StreamState.STARTING
        return StreamStatus(
            camera=camera.id,
            state=state,
            is_live=is_live,
            has_path=path is not None,
            mode=self._paths.plan.mode(camera),
            publisher=self._publisher(camera, path),
            viewers=self._paths.viewers(path),
            sent_bytes=path.outbound_bytes if path else 0,
            sent_frames=self._streams.frames_sent(camera.id) if is_live else None,
            bits_per_s=self._paths.bitrate(camera.id),
            frames_per_s=camera.detected.fps if is_live else None,
            live_since=path.live_since if path else None,
            problem=problem if not is_live else None,
        )

    def _publisher(self, camera: Camera, path: RuntimePath | None) -> PublisherStatus:
        """Return the publisher's status; one of the media server that does not report is known by its session only."""
        mode = self._paths.plan.mode(camera)
        process = (self._streams.publisher if mode is PublishMode.AGENT else self._streams.reporting)(
            camera.id
        )
        if process is None:
            is_published = path is not None and path.live and _is_published(path)
            return PublisherStatus(is_running=is_published and mode is not PublishMode.AGENT)
        uptime_s = self._clock.monotonic_s() - process.started_s
        return PublisherStatus(is_running=True, pid=process.pid, uptime_s=uptime_s)

    async def all(self) -> tuple[ServerStream, ...]:
        """Return all streams of the media server, including other clients'. Raises MediaServerError or Unsupported."""
        return tuple(
            ServerStream(
                name=path.name,
                source=path.source.type if path.source else AWAITED,
                is_live=path.live,
                viewers=self._paths.viewers(path),
                sent_bytes=path.outbound_bytes,
            )
            for path in await self._paths.all_runtime()
        )

    async def traffic(self, camera: CameraId) -> CameraTraffic:
        """Return the camera's sent bytes and viewers; the last known numbers while the server is silent."""
        seen = await self._paths.last_seen(camera)
        return CameraTraffic(
            sent_bytes=seen.path.outbound_bytes if seen.path else 0,
            viewers=self._paths.viewers(seen.path),
            age_s=seen.age_s,
        )


def _is_published(path: RuntimePath) -> bool:
    return path.source is not None and path.source.type.endswith("Session")


def _not_streaming(camera: CameraId) -> InvalidState:
    return InvalidState(
        f"This connection does not stream {camera}.",
        state="INACTIVE",
        allowed_states=("ACTIVE", "STARTING"),
        reason="not_streaming",
        suggestion="Call stop_streaming on the connection that called start_streaming.",
    )
