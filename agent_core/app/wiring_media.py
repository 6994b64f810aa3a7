"""The parts that work with the media server, made and connected."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agent_core.app.foundation import Foundation
from agent_core.app.reload import Reloads, Taken
from agent_core.base.clock import Clock
from agent_core.base.errors import Unsupported
from agent_core.cameras import CameraRegistry
from agent_core.config import AgentConfig, HealthConfig, MediaServerConfig
from agent_core.health import HealthMonitor
from agent_core.health.disks import DiskWatch, WatchedFolder
from agent_core.health.host import HostSampler
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.plugin import Component, MediaServer, MediaServerEndpoints
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.recordings import RecordingManager, RecordingStore
from agent_core.recordings.flushing import Flusher
from agent_core.recordings.locality import RecordingPlace
from agent_core.recordings.resumption import Resumption
from agent_core.recordings.store import UTC_NAMES, ZONED_NAMES
from agent_core.recordings.write_rate import WriteRate
from agent_core.streams import CameraPaths, StreamAddresses, StreamLeases, StreamService
from agent_core.streams.keeper import PathKeeper
from agent_core.streams.lent import StreamLender
from agent_core.streams.plan import PathPlan
from agent_core.streams.publishers.progress import PublisherProgress
from agent_core.streams.whep import WhepRelay

if TYPE_CHECKING:
    from agent_core.mediamtx.managed import ManagedServer

__all__ = ("MediaParts", "build_media", "with_media_server")

_log = logging.getLogger("camera_agent.media_server")

#: Hot keys that are written into the configuration of a managed server when it is started.
_SERVED_BY_MANAGED = frozenset({"media_server.host", "media_server.hls_port", "media_server.webrtc_port"})
#: Free space for the files in the state folder, which are small, and replaced as a whole.
STATE_LEAST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaParts:
    """Streams, recordings and the link to the media server, connected."""

    link: ServerLink
    streams: StreamLeases
    paths: CameraPaths
    recordings: RecordingManager
    files: RecordingStore
    flusher: Flusher
    health: HealthMonitor
    disks: DiskWatch
    write_rate: WriteRate
    host: HostSampler
    keeper: PathKeeper
    resumption: Resumption
    service: StreamService
    whep: WhepRelay
    lender: StreamLender


def build_media(
    foundation: Foundation,
    *,
    cameras: CameraRegistry,
    plugins: PluginManager,
    supervisor: Supervisor,
    states: Callable[[], Sequence[tuple[str, str]]],
) -> MediaParts:
    """Make and connect the parts; nothing runs yet. `states` returns the states of the agent's other parts."""
    config, clock = foundation.config, foundation.clock
    link = _link(config, supervisor, clock)
    streams, paths = _streams(foundation, link, cameras, plugins)
    files = _files(foundation)
    recordings = RecordingManager(
        streams, paths, files, settings=config.recordings, events=foundation.events, clock=clock
    )
    health = _health(foundation, link, streams, states, supervisor)
    host, write_rate = HostSampler(clock), WriteRate()
    addresses = _addresses(config.media_server, link, supervisor, foundation.reloads)
    close_after_s = config.media_server.close_after_s
    service = StreamService(streams, paths, addresses, close_after_s=close_after_s, clock=clock)
    return MediaParts(
        link=link,
        streams=streams,
        paths=paths,
        recordings=recordings,
        files=files,
        flusher=Flusher(files.root, lambda: recordings.under_way, clock=clock),
        health=health,
        disks=_disks(foundation, health, files, recordings, host, write_rate),
        write_rate=write_rate,
        host=host,
        keeper=_keeper(foundation, link, streams, paths, cameras=cameras, health=health),
        resumption=_resumption(foundation, recordings, files, paths, link),
        service=service,
        whep=WhepRelay(service, link, clock=clock),
        lender=StreamLender(link, streams, paths, clock=clock),
    )


def _files(foundation: Foundation) -> RecordingStore:
    config, volumes = foundation.config, foundation.volumes
    return RecordingStore(
        config.storage.recordings,
        is_local=RecordingPlace(config.media_server).is_local,
        zone=ZONED_NAMES if config.media_server.mode == "external" else UTC_NAMES,
        volume=volumes.recordings,
        written_at=volumes.link,
        index=foundation.index,
        min_free_bytes=config.storage.min_free_bytes,
    )


def _media_server(supervisor: Supervisor) -> MediaServer | None:
    return next((each for each in supervisor.components if isinstance(each, MediaServer)), None)


def _link(config: AgentConfig, supervisor: Supervisor, clock: Clock) -> ServerLink:
    server = _media_server(supervisor)
    return ServerLink(
        _endpoints(config.media_server, server),
        problem=lambda: supervisor.problem(server.name) if server else None,
        began=partial(supervisor.wait_began, server.name) if server else None,
        breaker=_breaker(config.health),
        clock=clock,
    )


def _breaker(config: HealthConfig) -> CircuitBreaker:
    return CircuitBreaker(
        BreakerSettings(
            failures=config.breaker_failures,
            window_s=config.breaker_window_s,
            first_open_s=config.breaker_first_open_s,
            longest_open_s=config.breaker_longest_open_s,
        )
    )


def _streams(
    foundation: Foundation, link: ServerLink, cameras: CameraRegistry, plugins: PluginManager
) -> tuple[StreamLeases, CameraPaths]:
    settings, clock = foundation.config.media_server, foundation.clock
    progress = PublisherProgress(foundation.config.storage.runtime_dir, clock=clock)
    plan = PathPlan(plugins.publisher, progress=progress, settings=settings)
    paths = CameraPaths(link, camera=cameras.get, plan=plan, clock=clock)
    return StreamLeases(link, paths, progress=progress, settings=settings, clock=clock), paths


def _health(
    foundation: Foundation,
    link: ServerLink,
    streams: StreamLeases,
    states: Callable[[], Sequence[tuple[str, str]]],
    supervisor: Supervisor,
) -> HealthMonitor:
    server = _media_server(supervisor)
    return HealthMonitor(
        link,
        components=states,
        component=lambda: supervisor.states[server.name] if server else None,
        is_live=lambda: bool(streams.held),
        settings=foundation.config.health,
        events=foundation.events,
        clock=foundation.clock,
    )


def _keeper(
    foundation: Foundation,
    link: ServerLink,
    streams: StreamLeases,
    paths: CameraPaths,
    *,
    cameras: CameraRegistry,
    health: HealthMonitor,
) -> PathKeeper:
    return PathKeeper(
        streams,
        paths,
        cameras=cameras.with_removed,
        link=link,
        events=foundation.events,
        tell=health.tell,
        clock=foundation.clock,
    )


def _disks(
    foundation: Foundation,
    health: HealthMonitor,
    files: RecordingStore,
    recordings: RecordingManager,
    host: HostSampler,
    write_rate: WriteRate,
) -> DiskWatch:
    storage, volumes = foundation.config.storage, foundation.volumes

    def require_recordings() -> None:
        with suppress(Unsupported):  # they are on another host
            files.require_place(make=True)
            if not recordings.under_way:
                volumes.recordings.leave_if_separate()

    return DiskWatch(
        (
            WatchedFolder("recordings", storage.recordings, require_recordings),
            WatchedFolder("snapshots", storage.snapshots, partial(volumes.snapshots.claim, make=True)),
            WatchedFolder("state", storage.state_dir, foundation.require_state, STATE_LEAST_BYTES),
        ),
        health,
        low_space_bytes=foundation.config.health.low_space_bytes,
        clock=foundation.clock,
        forecast=write_rate.forecast,
        beside=host.come_by,
    )


def _resumption(
    foundation: Foundation,
    recordings: RecordingManager,
    files: RecordingStore,
    paths: CameraPaths,
    link: ServerLink,
) -> Resumption:
    return Resumption(
        recordings,
        files,
        paths,
        within_s=foundation.config.recordings.resume_within_s,
        recovered=link.recovery.wait,
        open_files=partial(foundation.index.open_files, "recordings"),
        clock=foundation.clock,
    )


def _addresses(
    config: MediaServerConfig, link: ServerLink, supervisor: Supervisor, reloads: Reloads
) -> StreamAddresses:
    managed = _managed(config, _media_server(supervisor))
    addresses = StreamAddresses(link, config, managed_ports=lambda: managed.ports if managed else None)

    def apply(config: AgentConfig) -> Taken:
        if managed is not None:  # it runs with the former ones
            return Taken(_SERVED_BY_MANAGED)
        addresses.configure(config.media_server)
        return Taken()

    reloads.on_change("media_server", apply)
    return addresses


def _managed(config: MediaServerConfig, server: MediaServer | None) -> "ManagedServer | None":
    if config.mode != "managed":
        return None
    from agent_core.mediamtx.managed import ManagedServer

    return server if isinstance(server, ManagedServer) else None


def with_media_server(foundation: Foundation, offered: Iterable[Component]) -> list[Component]:
    """Return the components to run: `offered`, or in mode managed those except media servers, after our own."""
    config = foundation.config
    if config.media_server.mode != "managed":
        return list(offered)
    from agent_core.mediamtx.managed import ManagedServer

    kept: list[Component] = [
        ManagedServer(
            config.media_server,
            state_dir=config.storage.state_dir,
            clock=foundation.clock,
            require_state=foundation.require_state,
        )
    ]
    for each in offered:
        if isinstance(each, MediaServer):
            _log.warning("the media server %s is not started: media_server.mode is managed", each.name)
        else:
            kept.append(each)
    return kept


def _endpoints(
    config: MediaServerConfig, server: MediaServer | None
) -> Callable[[], Awaitable[MediaServerEndpoints]] | None:
    if config.mode != "external":
        return server.wait_endpoints if server else None
    configured = Endpoints.configured(config)

    async def external() -> Endpoints:
        return configured

    return external
