"""The parts of one agent, made and connected; nothing runs yet."""

import logging
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent_core import __version__
from agent_core.app.foundation import Foundation
from agent_core.app.plugins import contexts, load_plugins
from agent_core.app.reload import Reloads
from agent_core.app.wiring_media import MediaParts, build_media, with_media_server
from agent_core.app.wiring_server import ClientAccess, build_server
from agent_core.app.wiring_storage import StorageParts, build_storage
from agent_core.auth.files import CredentialFiles
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import Clock
from agent_core.base.errors import (
    AgentError,
    FfmpegFailed,
    LaterState,
    PluginError,
    StartFailed,
    StateCorrupt,
)
from agent_core.base.events import EventBus
from agent_core.base.logging import set_format, set_level
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import CameraId
from agent_core.base.tenancy import Tenancy
from agent_core.cameras import CameraControls, CameraMonitor, CameraRegistry
from agent_core.cameras.gates import CameraRedirects
from agent_core.cameras.kept_controls import KeptControls
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.monitor import SourceState
from agent_core.config import AgentConfig
from agent_core.controller import Controller, Services
from agent_core.media.index import MediaIndex
from agent_core.media.thumbnails import THUMBNAILS_FOLDER, ThumbnailCache, Thumbnails
from agent_core.plugin import RecordingStills, SnapshotTier, ffmpeg
from agent_core.plugin_host.manager import EntryPointFinder, PluginManager
from agent_core.plugin_host.models import NORMAL_START, Providers, StartMode
from agent_core.plugin_host.reload import PluginReload
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.plugin_host.wrong_settings import refuse_wrong_settings
from agent_core.recordings import RecordingStore
from agent_core.recordings.thumbnails import Decoding, RecordingOriginals
from agent_core.rpc.lent_sessions import LentSessions
from agent_core.snapshots import SnapshotService, SnapshotStore
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.ladder import SnapshotLadder
from agent_core.snapshots.live import LiveFeeds
from agent_core.snapshots.ring_tier import RingTier
from agent_core.snapshots.thumbnails import PictureScaler, SnapshotOriginals
from agent_core.streams.lent import LentStreams
from agent_core.web.server import RpcServer
from agent_core.web.views.places import Places

__all__ = ("CONTROLS_FILE", "LEDGER_FILE", "AgentParts", "build_agent")

#: In the state folder.
LEDGER_FILE, CONTROLS_FILE = "cameras.json", "camera-controls.json"

_log = logging.getLogger("camera_agent.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """Parts of one agent, connected. `Agent` runs them; tests inspect them."""

    server: RpcServer
    supervisor: Supervisor
    monitor: CameraMonitor
    controls: CameraControls
    media: MediaParts
    storage: StorageParts
    snapshots: SnapshotService
    feeds: LiveFeeds
    cameras: CameraRegistry
    controller: Controller
    events: EventBus
    tokens: TokenAuthority
    credentials: CredentialFiles
    places: Places
    index: MediaIndex
    thumbnails: Thumbnails
    metrics: MetricRegistry
    reloads: Reloads


@dataclass(frozen=True, slots=True, kw_only=True)
class _PluginParts:
    """The loaded plugins and the parts that run what they provide."""

    plugins: PluginManager
    cameras: CameraRegistry
    monitor: CameraMonitor
    controls: CameraControls
    supervisor: Supervisor
    snapshots: SnapshotService
    stills: RecordingStills | None
    mode: StartMode

    def states(self) -> list[tuple[str, str]]:
        """Return the name and the state of each part, named as clients know it."""
        discovery = self.monitor.discovery
        failed = any(state is SourceState.FAILED for _, state in discovery.sources)
        return [
            ("websocket_server", "RUNNING"),
            ("camera_monitor", "ERROR" if failed else "STARTING" if discovery.active else "RUNNING"),
            *((name, state.value) for name, state in self.supervisor.states.items()),
        ]


@dataclass(frozen=True, slots=True)
class _FileFolders:
    """Folders of recordings and of snapshots, each with a folder per camera."""

    roots: tuple[Path, ...]

    def may_have(self, camera: CameraId) -> bool:
        """Return True unless the camera has no folder in any root; a root that is not there may have one."""
        return any((root / camera).exists() or not root.exists() for root in self.roots)


def build_agent(
    config: AgentConfig,
    *,
    clock: Clock,
    find: EntryPointFinder,
    reloads: Reloads,
    held: Mapping[str, PluginError] = MappingProxyType({}),
    require_state: Callable[[], None] = lambda: None,
    tenancy: Tenancy | None = None,
    mode: StartMode = NORMAL_START,
) -> AgentParts:
    """Make and connect all parts. Blocks on small files of the state folder; the folders must exist.

    Args:
        config: the agent's configuration.
        clock: the clock of all parts.
        find: finds a plugin's class by name.
        reloads: gets what each part does at a reload of the configuration.
        held: the plugins in quarantine, each with the reason.
        require_state: raises StorageFailed while the state folder is not there.
        tenancy: keeps other agents out of the recordings; the caller releases it.
        mode: safe mode, and the problems of installed plugins.

    Raises:
        StartFailed: the secret cannot be used, a later version of the agent has written the state, or another agent
            uses the folder of recordings.
        ConfigError: an enabled plugin does not accept its settings.
        PluginError: a plugin that is marked as required cannot be loaded.
    """
    foundation = Foundation(config, EventBus(clock), clock, require_state, tenancy, reloads=reloads)
    ledger, kept, problems = _loaded_state(foundation)
    foundation.volumes.recordings.claim_at_start()
    files = _FileFolders((config.storage.recordings, config.storage.snapshots))
    events = foundation.events
    cameras = CameraRegistry(ledger, events=events, clock=clock, has_files=files.may_have, kept=kept)
    streams, sessions = LentStreams(), LentSessions()
    redirects = CameraRedirects(cameras.get)
    lent = contexts(foundation, cameras=cameras, redirects=redirects, streams=streams, sessions=sessions)
    spare_last_source = config.health.quarantine == "spare_last_source"
    plugins = load_plugins(
        config.plugins, lent, find, held=held, barred=mode.barred, spare_last_source=spare_last_source
    )
    refuse_wrong_settings(plugins.manager.statuses)
    reloads.include_plugins(PluginReload(plugins.manager, config.plugins))
    reloads.on_change("logging", _apply_logging)
    parts = _PluginParts(
        plugins=plugins.manager,
        cameras=cameras,
        monitor=CameraMonitor(plugins.sources, cameras, ledger, clock=clock),
        controls=CameraControls(cameras, kept, events=events, clock=clock),
        supervisor=Supervisor(with_media_server(foundation, plugins.components), clock=clock),
        snapshots=_snapshots(foundation, plugins.tiers, streams),
        stills=plugins.stills,
        mode=mode,
    )
    agent = _connect(foundation, parts, plugins.providers, (*mode.problems, *problems), sessions)
    streams.open(agent.media.lender)
    return agent


def _connect(
    foundation: Foundation,
    parts: _PluginParts,
    providers: Sequence[Providers],
    problems: tuple[AgentError, ...],
    sessions: LentSessions,
) -> AgentParts:
    """Add the media server's part, the controller and the server to `parts`; open `sessions`."""
    media = build_media(
        foundation,
        cameras=parts.cameras,
        plugins=parts.plugins,
        supervisor=parts.supervisor,
        states=parts.states,
    )
    thumbnails = _thumbnails(foundation, parts, media.files)
    storage = build_storage(foundation, media, parts.snapshots.store)
    feeds = LiveFeeds.of(parts.snapshots, parts.cameras, events=foundation.events)
    controller = _controller(foundation, parts, media, storage, thumbnails, feeds=feeds, problems=problems)
    _add_metrics(foundation, parts, media)
    access = ClientAccess.load(foundation)
    return AgentParts(
        server=build_server(foundation, controller, access, providers, sessions),
        supervisor=parts.supervisor,
        monitor=parts.monitor,
        controls=parts.controls,
        media=media,
        storage=storage,
        snapshots=parts.snapshots,
        feeds=feeds,
        cameras=parts.cameras,
        controller=controller,
        events=foundation.events,
        tokens=access.tokens,
        credentials=access.files,
        places=access.places,
        index=foundation.index,
        thumbnails=thumbnails,
        metrics=foundation.metrics,
        reloads=foundation.reloads,
    )


def _add_metrics(foundation: Foundation, parts: _PluginParts, media: MediaParts) -> None:
    """Let each service describe its numbers; the server adds its own."""
    registry, cameras = foundation.metrics, parts.cameras
    registry.gauge(
        "camera_agent_build_info",
        "Always 1; the labels tell the versions of the agent and of Python.",
        lambda: {(__version__, platform.python_version()): 1},
        labels=("version", "python_version"),
    )
    for each in (
        foundation.events,
        cameras,
        parts.plugins,
        parts.snapshots,
        media.recordings.meter,
        media.health,
        media.disks,
        media.host,
    ):
        each.add_metrics(registry)
    for each_by_camera in (media.link, media.service):
        each_by_camera.add_metrics(registry, lambda: [each.id for each in cameras.list()])


def _controller(
    foundation: Foundation,
    parts: _PluginParts,
    media: MediaParts,
    storage: StorageParts,
    thumbnails: Thumbnails,
    *,
    feeds: LiveFeeds,
    problems: tuple[AgentError, ...],
) -> Controller:
    services = Services(
        cameras=parts.cameras,
        monitor=parts.monitor,
        controls=parts.controls,
        snapshots=parts.snapshots,
        feeds=feeds,
        streams=media.service,
        whep=media.whep,
        recordings=media.recordings,
        recording_files=media.files,
        downloads=storage.downloads,
        storage=storage.storage,
        retention=storage.retention,
        thumbnails=thumbnails,
        health=media.health,
        disks=media.disks,
        host=media.host,
        events=foundation.events,
        supervisor=parts.supervisor,
        plugins=parts.plugins,
        reload=foundation.reloads.reload,
        clock=foundation.clock,
        safe_mode=parts.mode.safe_mode,
        problems=problems,
    )
    return Controller(services)


def _snapshots(
    foundation: Foundation, provided: Iterable[SnapshotTier], streams: LentStreams
) -> SnapshotService:
    config, clock = foundation.config, foundation.clock
    service = SnapshotService(
        ladder=SnapshotLadder(
            [RingTier(clock), *provided],
            budgets_s=config.snapshots.tier_budget_s,
            clock=clock,
            facts=FactSource(streams),
        ),
        converter=PictureConverter(max_pixels=config.snapshots.max_pixels, clock=clock),
        store=SnapshotStore(
            config.storage.snapshots, volume=foundation.volumes.snapshots, index=foundation.index
        ),
        defaults=config.snapshots,
        events=foundation.events,
        clock=clock,
    )

    def apply(config: AgentConfig) -> None:
        service.defaults = config.snapshots

    foundation.reloads.on_change("snapshots", apply)
    return service


def _apply_logging(config: AgentConfig) -> None:
    set_level(config.logging.level)
    set_format(config.logging.format)


def _thumbnails(foundation: Foundation, parts: _PluginParts, recordings: RecordingStore) -> Thumbnails:
    config, clock = foundation.config, foundation.clock
    width, max_pixels = config.thumbnails.width, config.snapshots.max_pixels
    scaler = PictureScaler(parts.snapshots.converter, clock, width)
    thumbnails = Thumbnails(
        {
            "snapshots": SnapshotOriginals(parts.snapshots.store, scaler),
            "recordings": RecordingOriginals(
                recordings, Decoding(parts.stills, scaler.scaled, width=width, max_pixels=max_pixels)
            ),
        },
        ThumbnailCache(
            config.storage.state_dir / THUMBNAILS_FOLDER,
            max_bytes=config.thumbnails.max_bytes,
            require=foundation.require_state,
        ),
        width=width,
        clock=clock,
    )
    foundation.index.tell_gone = thumbnails.gone
    return thumbnails


def _loaded_state(foundation: Foundation) -> tuple[Ledger, KeptControls, tuple[AgentError, ...]]:
    """Return the ledger, the kept controls, and the problems of the state's files and of FFmpeg, which are logged.

    Raises:
        StartFailed: as `_usable`.
    """
    folder, require = foundation.config.storage.state_dir, foundation.require_state
    ledger = Ledger(folder / LEDGER_FILE, require=require)
    kept = KeptControls(folder / CONTROLS_FILE, is_known=ledger.has, require=require)
    loaded = (_usable(ledger.load()), kept.load(), _usable(foundation.volumes.known.load()))
    found = (*loaded, _ffmpeg_problem(foundation.config.ffmpeg.program))
    problems = tuple(each for each in found if each)
    for problem in problems:
        _log.error("%s %s", problem.details, problem.suggestion)
    return ledger, kept, problems


def _usable(problem: StateCorrupt | None) -> StateCorrupt | None:
    """Return the problem of a state file that the agent can do without.

    Raises:
        StartFailed: a later version of the agent has written which camera has which id, or which disk belongs where:
            without that, recordings would land under another camera's id or below the mount point of a missing disk.
    """
    if isinstance(problem, LaterState):
        raise StartFailed(problem.details, reason=problem.reason, suggestion=problem.suggestion) from problem
    return problem


def _ffmpeg_problem(program: str | None) -> FfmpegFailed | None:
    try:
        ffmpeg.locate(program)
    except FfmpegFailed as error:
        return error
    return None
