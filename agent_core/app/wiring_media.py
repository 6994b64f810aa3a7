"""Everything that has to do with the media server, made and connected."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.base.models import CameraId
from agent_core.cameras import CameraRegistry
from agent_core.config import AgentConfig, HealthConfig, MediaServerConfig, RecordingsConfig
from agent_core.health import HealthMonitor
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.plugin import Component, MediaServer, MediaServerEndpoints
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.recordings import RecordingManager, RecordingStore
from agent_core.recordings.locality import RecordingPlace
from agent_core.recordings.resumption import Resumption
from agent_core.recordings.retention import RecordingCleaner
from agent_core.streams import CameraPaths, StreamAddresses, StreamLeases, StreamService
from agent_core.streams.keeper import PathKeeper
from agent_core.streams.plan import PathPlan
from agent_core.streams.publishers.progress import PublisherProgress

if TYPE_CHECKING:
    from agent_core.mediamtx.managed import ManagedServer

__all__ = ("MediaPlane", "media_plane", "with_media_server")

_log = logging.getLogger("camera_agent.media_server")


@dataclass(frozen=True, slots=True)
class MediaPlane:
    """Streams and recordings, made and connected."""

    link: ServerLink
    streams: StreamLeases
    paths: CameraPaths
    recordings: RecordingManager
    files: RecordingStore
    health: HealthMonitor
    cleaner: RecordingCleaner
    keeper: PathKeeper
    resumption: Resumption
    service: StreamService


def media_plane(
    config: AgentConfig,
    supervisor: Supervisor,
    *,
    cameras: CameraRegistry,
    plugins: PluginManager,
    states: Callable[[], Sequence[tuple[str, str]]],
    events: EventBus,
    clock: Clock,
) -> MediaPlane:
    """Make and connect it; nothing runs yet. `states` gives the states of the agent's other parts."""
    server = next((each for each in supervisor.components if isinstance(each, MediaServer)), None)
    link = ServerLink(
        _endpoints(config.media_server, server),
        problem=lambda: supervisor.problem(server.name) if server else None,
        breaker=_breaker(config.health),
        clock=clock,
    )
    streams, paths = _streams(config, link, cameras, plugins, clock)
    files = RecordingStore(config.storage.recordings, is_local=RecordingPlace(config.media_server).is_local)
    recordings = RecordingManager(
        streams, paths, files, settings=config.recordings, events=events, clock=clock
    )
    health = _health(config, link, streams, states, events, clock)
    cleaner = _cleaner(config.recordings, files, recordings, clock)
    return MediaPlane(
        link,
        streams,
        paths,
        recordings,
        files,
        health,
        cleaner,
        PathKeeper(streams, paths, repairs=lambda: link.repairs, tell=health.tell, clock=clock),
        Resumption(recordings, files, paths, recovered=link.recovery.wait, clock=clock),
        _service(config.media_server, link, streams, paths, server, clock),
    )


def _service(
    config: MediaServerConfig,
    link: ServerLink,
    streams: StreamLeases,
    paths: CameraPaths,
    server: MediaServer | None,
    clock: Clock,
) -> StreamService:
    managed = _managed(config, server)
    addresses = StreamAddresses(link, config, managed_ports=lambda: managed.ports if managed else None)
    return StreamService(streams, paths, addresses, close_after_s=config.close_after_s, clock=clock)


def _managed(config: MediaServerConfig, server: MediaServer | None) -> "ManagedServer | None":
    if config.mode != "managed":
        return None
    from agent_core.mediamtx.managed import ManagedServer

    return server if isinstance(server, ManagedServer) else None


def _streams(
    config: AgentConfig, link: ServerLink, cameras: CameraRegistry, plugins: PluginManager, clock: Clock
) -> tuple[StreamLeases, CameraPaths]:
    progress = PublisherProgress(config.storage.runtime_dir, clock=clock)
    plan = PathPlan(plugins.publisher, progress=progress, settings=config.media_server)
    paths = CameraPaths(link, camera=cameras.get, plan=plan, clock=clock)
    return StreamLeases(link, paths, progress=progress, settings=config.media_server, clock=clock), paths


def _health(
    config: AgentConfig,
    link: ServerLink,
    streams: StreamLeases,
    states: Callable[[], Sequence[tuple[str, str]]],
    events: EventBus,
    clock: Clock,
) -> HealthMonitor:
    return HealthMonitor(
        link,
        components=states,
        is_live=lambda: bool(streams.held),
        folder=config.storage.recordings,
        settings=config.health,
        events=events,
        clock=clock,
    )


def _cleaner(
    config: RecordingsConfig, files: RecordingStore, recordings: RecordingManager, clock: Clock
) -> RecordingCleaner:
    def in_use(camera: CameraId, recording_id: str) -> bool:
        active = recordings.active(camera)
        return active is not None and active.note.id == recording_id

    return RecordingCleaner(files, settings=config, in_use=in_use, clock=clock)


def _breaker(config: HealthConfig) -> CircuitBreaker:
    return CircuitBreaker(
        BreakerSettings(
            failures=config.breaker_failures,
            window_s=config.breaker_window_s,
            first_open_s=config.breaker_first_open_s,
            longest_open_s=config.breaker_longest_open_s,
        )
    )


def with_media_server(config: AgentConfig, offered: Iterable[Component], *, clock: Clock) -> list[Component]:
    """The plugins' components; in mode managed with our media server, and without any of theirs."""
    if config.media_server.mode != "managed":
        return list(offered)
    from agent_core.mediamtx.managed import ManagedServer

    kept: list[Component] = [
        ManagedServer(config.media_server, state_dir=config.storage.state_dir, clock=clock)
    ]
    for each in offered:
        if isinstance(each, MediaServer):
            _log.warning("%s is not started: media_server.mode is managed", each.name)
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
