"""Everything that faces clients: sessions, methods, events, files, on one port."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent_core import __version__
from agent_core.api.events import core_topics
from agent_core.api.methods import core_methods
from agent_core.api.session import add_session_methods
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.authenticator import Authenticator
from agent_core.auth.limits import FailureThrottle, RateLimiter
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.base.socket_place import SocketPlace
from agent_core.config import AgentConfig
from agent_core.controller import Controller
from agent_core.plugin_host.models import Providers
from agent_core.rpc.session import SharedParts
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import MethodTable
from agent_core.rpc.topics import EventTopics
from agent_core.web import DownloadLinks, MadeAtFirstRequest
from agent_core.web.metrics import metric_lines
from agent_core.web.server import RpcServer

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ("front_of",)


def front_of(
    config: AgentConfig,
    controller: Controller,
    secret: Secret,
    tokens: TokenAuthority,
    providers: Sequence[Providers],
    events: EventBus,
    clock: Clock,
) -> RpcServer:
    """Return the server, made and connected; the providers' names have been checked."""
    links = DownloadLinks(secret.derive("download links"), clock)
    keys = ApiKeys(config.storage.api_keys_file, clock)
    gate = Authenticator(tokens, keys, FailureThrottle(config.auth.failures_per_minute, clock))
    table = MethodTable(core_methods(controller, links.sign))
    topics = core_topics(controller, links.sign)
    sessions = Sessions(
        SharedParts(
            table=table,
            authenticator=gate,
            limiter=RateLimiter(config.auth.calls_per_s, config.auth.calls_burst, clock),
            bus=events,
            topics=topics,
            clock=clock,
            max_calls=config.server.max_calls,
            max_queued_events=config.server.max_queued_events,
        )
    )
    add_session_methods(table, sessions, title="camera-agent", version=__version__)
    _add_from_plugins(table, topics, providers)
    http = MadeAtFirstRequest(lambda: _web_app(controller, sessions, gate, links))
    local = SocketPlace(config.storage.local_socket, clock=clock, mode=0o600)
    return RpcServer(config.server, sessions, http, local=local)


def _web_app(
    controller: Controller, sessions: Sessions, gate: Authenticator, links: DownloadLinks
) -> "ASGIApp":
    from agent_core.web.routes import web_app

    return web_app(
        ready=controller.ready,
        metrics=lambda: metric_lines(cameras=controller.cameras_by_status(), connections=len(sessions)),
        gate=gate,
        links=links,
        open_download=controller.open_download,
    )


def _add_from_plugins(table: MethodTable, topics: EventTopics, providers: Sequence[Providers]) -> None:
    for each in providers:
        table.add_plugin_methods(each.plugin, each.methods)
        for topic in each.topics:
            topics.add_plugin_topic(each.plugin, topic)
