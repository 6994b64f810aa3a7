"""Everything that faces clients: sessions, methods, events, files, on one port."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agent_core import __version__
from agent_core.api.events import _event_forms
from agent_core.api.recordings import recording_methods
from agent_core.api.session import add_session_methods
from agent_core.api.streams import stream_methods
from agent_core.api.system import core_methods
from agent_core.api.views import Forms
from agent_core.app.wiring_media import MediaPlane
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.authenticator import Authenticator
from agent_core.auth.limits import FailureThrottle, RateLimiter
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.base.socket_place import SocketPlace
from agent_core.config import AgentConfig
from agent_core.controller import Controller, Readiness
from agent_core.plugin_host.models import Providers
from agent_core.rpc.session import SharedParts
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import MethodTable
from agent_core.rpc.topics import EventForms
from agent_core.web import DirectoryFiles, DownloadLinks, MadeAtFirstRequest, RecordingFiles
from agent_core.web.server import RpcServer

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ("front_of",)


def front_of(
    config: AgentConfig,
    controller: Controller,
    media: MediaPlane,
    secret: Secret,
    tokens: TokenAuthority,
    providers: Sequence[Providers],
    events: EventBus,
    clock: Clock,
) -> RpcServer:
    """Return the server, made and connected; the providers' names have been checked."""
    links = DownloadLinks(secret.derive("download links"), clock)
    forms = Forms(config.media_server, media, clock, links.sign)
    keys = ApiKeys(config.storage.api_keys_file, clock)
    gate = Authenticator(tokens, keys, FailureThrottle(config.auth.failures_per_minute, clock))
    table = _table(config, controller, forms, links)
    event_forms = _event_forms(forms)
    sessions = Sessions(
        SharedParts(
            table=table,
            authenticator=gate,
            limiter=RateLimiter(config.auth.calls_per_s, config.auth.calls_burst, clock),
            bus=events,
            forms=event_forms,
            clock=clock,
            max_calls=config.server.max_calls,
            max_queued_events=config.server.max_queued_events,
        )
    )
    add_session_methods(table, sessions, title="camera-agent", version=__version__)
    _add_from_plugins(table, event_forms, providers)
    http = MadeAtFirstRequest(lambda: _web_app(controller, sessions, media, gate, links))
    local = SocketPlace(config.storage.local_socket, clock=clock, mode=0o600)
    return RpcServer(config.server, sessions, http, local=local)


def _web_app(
    controller: Controller, sessions: Sessions, media: MediaPlane, gate: Authenticator, links: DownloadLinks
) -> "ASGIApp":
    from agent_core.web.routes import web_app

    return web_app(
        ready=lambda: controller.system_status().readiness is not Readiness.STARTING,
        metrics=lambda: _metrics(controller, sessions),
        gate=gate,
        links=links,
        files={"snapshots": DirectoryFiles(controller.store.root), "recordings": RecordingFiles(media.files)},
    )


def _table(config: AgentConfig, controller: Controller, forms: Forms, links: DownloadLinks) -> MethodTable:
    return MethodTable(
        [
            *core_methods(controller, forms),
            *recording_methods(controller, download_url=links.sign),
            *stream_methods(controller, forms, auto_close_after_s=config.media_server.close_after_s),
        ]
    )


def _add_from_plugins(table: MethodTable, event_forms: EventForms, providers: Sequence[Providers]) -> None:
    for each in providers:
        table.add_plugin_methods(each.plugin, each.methods)
        for topic in each.topics:
            event_forms.add_plugin_topic(each.plugin, topic)


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
