"""The parts of one agent, made and connected; nothing runs yet."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from agent_core.app.plugins import LoadedPlugins, contexts, load_plugins
from agent_core.app.wiring_media import MediaPlane, media_plane, with_media_server
from agent_core.app.wiring_server import front_of
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, FfmpegFailed, PluginError
from agent_core.base.events import EventBus
from agent_core.cameras import CameraMonitor, CameraRegistry
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.monitor import SourceState
from agent_core.config import AgentConfig
from agent_core.controller import Controller, Services
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.plugin import ffmpeg
from agent_core.plugin_host.manager import EntryPointFinder
from agent_core.plugin_host.models import Providers
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.plugin_host.wrong_settings import refuse_wrong_settings
from agent_core.snapshots import SnapshotService, SnapshotStore
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.ladder import SnapshotLadder
from agent_core.snapshots.ring_tier import RingTier
from agent_core.web.server import RpcServer

__all__ = ("LEDGER_FILE", "Assembly", "assemble")

#: In the state folder.
LEDGER_FILE = "cameras.json"

_log = logging.getLogger("camera_agent.app")


@dataclass(frozen=True, slots=True)
class Assembly:
    """Parts that the composition root runs and tests inspect."""

    server: RpcServer
    supervisor: Supervisor
    monitor: CameraMonitor
    media: MediaPlane
    snapshots: SnapshotService
    cameras: CameraRegistry
    controller: Controller
    events: EventBus
    tokens: TokenAuthority


def assemble(
    config: AgentConfig,
    *,
    clock: Clock,
    find: EntryPointFinder,
    held: Mapping[str, PluginError] = MappingProxyType({}),
) -> Assembly:
    """Make and connect everything. Blocks on small files of the state folder; the folders must exist.

    `held` are the plugins in quarantine, each with why.

    Raises:
        StartFailed: the secret cannot be used.
        ConfigError: an enabled plugin does not accept its settings.
        PluginError: a plugin that is marked as required cannot be loaded.
    """
    state_dir = config.storage.state_dir
    events = EventBus(clock)
    ledger = Ledger(state_dir / LEDGER_FILE)
    problems = [problem for problem in (ledger.load(), _ffmpeg_problem(config.ffmpeg.program)) if problem]
    for problem in problems:
        _log.error("%s %s", problem.details, problem.suggestion)
    cameras = CameraRegistry(ledger, events=events, clock=clock)
    make_context = contexts(config, cameras=cameras, events=events, clock=clock)
    plugins = load_plugins(
        config.plugins,
        make_context,
        find,
        held=held,
        spare_last_source=config.health.quarantine == "spare_last_source",
    )
    refuse_wrong_settings(plugins.manager.statuses)
    return _connect(config, plugins, problems, cameras, ledger, events, clock)


def _connect(
    config: AgentConfig,
    plugins: LoadedPlugins,
    problems: Sequence[AgentError],
    cameras: CameraRegistry,
    ledger: Ledger,
    events: EventBus,
    clock: Clock,
) -> Assembly:
    """Make all parts with what the plugins offer."""
    providers = plugins.providers
    sources = chain.from_iterable(each.sources for each in providers)
    monitor = CameraMonitor(list(sources), cameras, ledger, clock=clock)
    offered = chain.from_iterable(each.components for each in providers)
    components = with_media_server(config, offered, clock=clock)
    supervisor = Supervisor(components, clock=clock)
    media = media_plane(
        config,
        supervisor,
        cameras=cameras,
        plugins=plugins.manager,
        states=lambda: _states(monitor, supervisor),
        events=events,
        clock=clock,
    )
    snapshots = _snapshots(config, plugins, events, clock)
    services = Services(
        cameras=cameras,
        monitor=monitor,
        snapshots=snapshots,
        streams=media.service,
        recordings=media.recordings,
        recording_files=media.files,
        downloads=_downloads(snapshots, media),
        health=media.health,
        supervisor=supervisor,
        plugins=plugins.manager,
        clock=clock,
        problems=tuple(problems),
    )
    return _faced(config, services, media, providers, events)


def _faced(
    config: AgentConfig,
    services: Services,
    media: MediaPlane,
    providers: Sequence[Providers],
    events: EventBus,
) -> Assembly:
    """Make what faces clients over `services`: the controller and the server."""
    controller = Controller(services)
    secret = Secret.load(config.storage.secret_file)
    tokens = TokenAuthority(secret, services.clock)
    server = front_of(config, controller, secret, tokens, providers, events, services.clock)
    return Assembly(
        server,
        services.supervisor,
        services.monitor,
        media,
        services.snapshots,
        services.cameras,
        controller,
        events,
        tokens,
    )


def _downloads(snapshots: SnapshotService, media: MediaPlane) -> Downloads:
    return Downloads({"snapshots": DirectoryFiles(snapshots.store.root), "recordings": media.files})


def _snapshots(
    config: AgentConfig, plugins: LoadedPlugins, events: EventBus, clock: Clock
) -> SnapshotService:
    tiers = [RingTier(clock), *chain.from_iterable(each.tiers for each in plugins.providers)]
    return SnapshotService(
        ladder=SnapshotLadder(tiers, budgets_s=config.snapshots.tier_budget_s, clock=clock),
        converter=PictureConverter(max_pixels=config.snapshots.max_pixels, clock=clock),
        store=SnapshotStore(config.storage.snapshots),
        defaults=config.snapshots,
        events=events,
        clock=clock,
    )


def _ffmpeg_problem(program: str | None) -> FfmpegFailed | None:
    try:
        ffmpeg.locate(program)
    except FfmpegFailed as error:
        return error
    return None


def _states(monitor: CameraMonitor, supervisor: Supervisor) -> list[tuple[str, str]]:
    """Return the states of the agent's parts, by the names that clients know."""
    failed = any(state is SourceState.FAILED for _, state in monitor.discovery.sources)
    return [
        ("websocket_server", "RUNNING"),
        ("camera_monitor", "ERROR" if failed else "STARTING" if monitor.discovery.active else "RUNNING"),
        *((name, state.value) for name, state in supervisor.states.items()),
    ]
