"""The parts of one agent, made and connected; nothing runs yet."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from agent_core import __version__
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.monitor import CameraMonitor
from agent_core.cameras.registry import CameraRegistry
from agent_core.clock import Clock
from agent_core.config import AgentConfig
from agent_core.controller import Controller, Readiness
from agent_core.errors import AgentError, FfmpegFailed
from agent_core.events import EventBus
from agent_core.plugin import ffmpeg
from agent_core.plugin.manager import EntryPointFinder, PluginManager, Providers
from agent_core.plugin.ring_tier import RingTier
from agent_core.rpc.apikeys import ApiKeys
from agent_core.rpc.auth import Authenticator, Secret, TokenAuthority
from agent_core.rpc.forms import Forms
from agent_core.rpc.limits import FailureThrottle, RateLimiter
from agent_core.rpc.methods import core_methods
from agent_core.rpc.server import RpcServer
from agent_core.rpc.session import SharedParts
from agent_core.rpc.session_methods import add_session_methods
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import MethodTable
from agent_core.rpc.topics import EventForms
from agent_core.snapshots import SnapshotManager
from agent_core.storage import SnapshotStore
from agent_core.supervisor import Supervisor
from agent_core.web import DirectoryFiles, DownloadLinks, web_app

__all__ = ("API_KEYS_FILE", "LEDGER_FILE", "Assembly", "assemble")

#: Names in the state folder.
API_KEYS_FILE = "api-keys.json"
LEDGER_FILE = "cameras.json"

_log = logging.getLogger("camera_agent.app")


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the composition root runs, and what tests look at."""

    server: RpcServer
    supervisor: Supervisor
    monitor: CameraMonitor
    cameras: CameraRegistry
    store: SnapshotStore
    controller: Controller
    events: EventBus
    tokens: TokenAuthority


@dataclass(frozen=True, slots=True)
class _Context:
    """The `AgentContext` that plugins are lent."""

    clock: Clock
    cameras: CameraRegistry
    events: EventBus
    runtime_dir: Path
    state_dir: Path
    ffmpeg: str | None


def assemble(config: AgentConfig, *, clock: Clock, find: EntryPointFinder) -> Assembly:
    """Make and connect everything. Blocks on small files of the state folder; the folders must exist.

    Raises:
        StartFailed: the secret cannot be used.
        PluginError: a plugin that is marked as required cannot be loaded.
    """
    state_dir = config.storage.state_dir
    events = EventBus()
    ledger = Ledger(state_dir / LEDGER_FILE)
    problems = [problem for problem in (ledger.load(), _ffmpeg_problem(config.ffmpeg.program)) if problem]
    for problem in problems:
        _log.error("%s %s", problem.details, problem.suggestion)
    cameras = CameraRegistry(ledger, events=events, clock=clock)
    context = _Context(clock, cameras, events, config.storage.runtime_dir, state_dir, config.ffmpeg.program)
    plugins = PluginManager()
    plugins.load(config.plugins, find)
    providers = plugins.collect(context, config.plugins)
    monitor = CameraMonitor(
        list(chain.from_iterable(each.sources for each in providers)), cameras, ledger, clock=clock
    )
    supervisor = Supervisor(chain.from_iterable(each.components for each in providers), clock=clock)
    tiers = [RingTier(), *chain.from_iterable(each.tiers for each in providers)]
    store = SnapshotStore(config.storage.snapshots)
    controller = Controller(
        cameras=cameras,
        monitor=monitor,
        snapshots=SnapshotManager(tiers, budgets_s=config.snapshots.tier_budget_s, clock=clock),
        store=store,
        supervisor=supervisor,
        plugins=plugins,
        problems=problems,
        events=events,
        clock=clock,
        defaults=config.snapshots,
    )
    secret = Secret.load(config.storage.secret_file)
    tokens = TokenAuthority(secret, clock)
    server = _server(config, controller, secret, tokens, providers, plugins, events, clock)
    return Assembly(server, supervisor, monitor, cameras, store, controller, events, tokens)


def _ffmpeg_problem(program: str | None) -> FfmpegFailed | None:
    try:
        ffmpeg.locate(program)
    except FfmpegFailed as error:
        return error
    return None


def _server(
    config: AgentConfig,
    controller: Controller,
    secret: Secret,
    tokens: TokenAuthority,
    providers: Sequence[Providers],
    plugins: PluginManager,
    events: EventBus,
    clock: Clock,
) -> RpcServer:
    """Everything that faces clients."""
    links = DownloadLinks(secret.derive("download links"), clock)
    forms = Forms(config.media_server, clock, links.sign)
    keys = ApiKeys(config.storage.state_dir / API_KEYS_FILE, clock)
    gate = Authenticator(tokens, keys, FailureThrottle(config.auth.failures_per_minute, clock))
    table = MethodTable(core_methods(controller, forms))
    sessions = Sessions(
        SharedParts(
            table=table,
            authenticator=gate,
            limiter=RateLimiter(config.auth.calls_per_s, config.auth.calls_burst, clock),
            bus=events,
            forms=_event_forms(forms),
            clock=clock,
            max_calls=config.server.max_calls,
            max_queued_events=config.server.max_queued_events,
        )
    )
    add_session_methods(table, sessions, title="camera-agent", version=__version__)
    _add_plugin_methods(table, providers, plugins, config)
    http = web_app(
        ready=lambda: controller.system_status().readiness is not Readiness.STARTING,
        metrics=lambda: _metrics(controller, sessions),
        gate=gate,
        links=links,
        files={"snapshots": DirectoryFiles(controller.store.root)},
    )
    return RpcServer(config.server, sessions, http)


def _add_plugin_methods(
    table: MethodTable, providers: Sequence[Providers], plugins: PluginManager, config: AgentConfig
) -> None:
    for each in providers:
        try:
            table.add_plugin_methods(each.plugin, each.methods)
        except AgentError as error:
            plugins.reject(each.plugin, error, config.plugins)


def _event_forms(forms: Forms) -> EventForms:
    event_forms = EventForms()
    for topic in ("camera.connected", "camera.disconnected", "camera.status_change", "camera_status_update"):
        event_forms.register(topic, forms.camera_event)
    event_forms.register("snapshot.taken", forms.snapshot)
    for topic in ("system.health", "system.startup", "system.shutdown", "system_health_update"):
        event_forms.register(topic, forms.system_event)
    return event_forms


def _metrics(controller: Controller, sessions: Sessions) -> Iterator[str]:
    """The few gauges that exist so far, in the Prometheus text format."""
    cameras = controller.cameras.list()
    yield "# HELP camera_agent_cameras Cameras by status."
    yield "# TYPE camera_agent_cameras gauge"
    for status in sorted({camera.status.value for camera in cameras}):
        count = sum(camera.status.value == status for camera in cameras)
        yield f'camera_agent_cameras{{status="{status}"}} {count}'
    yield "# HELP camera_agent_connections Open WebSocket connections."
    yield "# TYPE camera_agent_connections gauge"
    yield f"camera_agent_connections {len(sessions)}"
