"""The server for clients, made and connected: sessions, methods, events and files on one port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_core import __version__
from agent_core.api.contract import core_methods, core_topics
from agent_core.api.keys import key_methods
from agent_core.api.metrics import metrics_methods
from agent_core.api.session import add_session_methods
from agent_core.api.views import view_link_methods
from agent_core.app.foundation import Foundation
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.authenticator import Authenticator
from agent_core.auth.call_verifier import CallVerifier
from agent_core.auth.files import CredentialFiles
from agent_core.auth.limits import FailureThrottle, RateLimiter
from agent_core.auth.links import DownloadLinks
from agent_core.auth.live import LiveAccess
from agent_core.auth.login_codes import LoginCodes, LoginDesk
from agent_core.auth.nonce_file import NonceFile
from agent_core.auth.nonces import UsedNonces
from agent_core.auth.own import OwnPrincipals
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.secret import SecretFile
from agent_core.auth.tokens import TokenAuthority
from agent_core.auth.view_links import ViewLinks
from agent_core.base.metrics import Collected
from agent_core.base.socket_place import SocketPlace
from agent_core.config import AgentConfig
from agent_core.controller import Controller
from agent_core.plugin_host.models import Providers
from agent_core.rpc.feed import EventSource
from agent_core.rpc.journal import EventJournal
from agent_core.rpc.lent_sessions import LentSessions, SessionLender
from agent_core.rpc.session import SharedParts
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import MethodTable
from agent_core.rpc.topics import EventTopics
from agent_core.web.server import LazyApp, RpcServer
from agent_core.web.views.meter import ViewMeter
from agent_core.web.views.places import Places

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ("ClientAccess", "build_server", "build_sessions")


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """The parts that decide which clients may call, which links they may open, and how many views."""

    tokens: TokenAuthority
    authenticator: Authenticator
    own: OwnPrincipals
    links: DownloadLinks
    keys: ApiKeys
    live: LiveAccess
    files: CredentialFiles
    views: ViewLinks
    throttle: FailureThrottle
    places: Places
    logins: LoginDesk
    signed: CallVerifier

    @classmethod
    def load(cls, foundation: Foundation) -> "ClientAccess":
        """Read the secret, or write one at the first start. Blocks.

        Raises:
            StartFailed: the secret cannot be used.
            StorageFailed: the state folder is not there.
        """
        storage, clock, require = foundation.config.storage, foundation.clock, foundation.require_state
        secret = SecretFile(storage.secret_file, require=require)
        secret.ensure()
        revoked = RevokedTokens(storage.revoked_tokens_file, clock, require=require)
        tokens = TokenAuthority(secret, clock, revoked)
        keys = ApiKeys(storage.api_keys_file, clock, require=require)
        live = LiveAccess()
        views = ViewLinks(storage.view_links_file, clock, require=require)
        files = CredentialFiles(secret, keys, revoked, views, live=live, clock=clock)
        files.read()
        throttle = FailureThrottle(foundation.config.auth.failures_per_minute, clock)
        own = OwnPrincipals()
        authenticator = Authenticator(tokens, keys, throttle, own=own, catch_up=files.catch_up)
        logins = LoginDesk(
            LoginCodes(secret, clock, revoked),
            tokens,
            revoked,
            throttle=throttle,
            files=files,
            lifetime_s=foundation.config.auth.token_lifetime_s,
            clock=clock,
        )
        nonces = UsedNonces(NonceFile(storage.used_nonces_file, require=require), clock)
        signed = CallVerifier(keys, nonces, clock, catch_up=files.catch_up)
        return cls(
            tokens,
            authenticator,
            own,
            DownloadLinks(secret, clock, is_current=authenticator.is_current, is_revoked=revoked.covers),
            keys,
            live,
            files,
            views,
            throttle,
            Places(foundation.config.views),
            logins,
            signed,
        )


def build_server(
    foundation: Foundation,
    controller: Controller,
    access: ClientAccess,
    providers: Sequence[Providers],
    lent: LentSessions,
) -> RpcServer:
    """Return the server with all its methods and topics, and open `lent`.

    The providers' names must have been checked.
    """
    table = MethodTable(core_methods(controller, access.links))
    topics = core_topics(controller, access.links)
    sessions = build_sessions(foundation, access, table, topics)
    add_session_methods(table, sessions, topics, title="camera-agent", version=__version__)
    config = foundation.config
    keys = key_methods(access.keys, access.files.changing, over_network=config.auth.keys_over_network)
    views = view_link_methods(controller, access.views, access.files.changing)
    for method in (*keys, *views, *metrics_methods(controller, sessions)):
        table.add(method)
    _add_from_plugins(table, topics, providers)
    sessions.add_metrics(foundation.metrics)
    lent.open(SessionLender(sessions, access.own, access.signed))
    meter = ViewMeter()
    meter.add_metrics(foundation.metrics, access.places)
    foundation.reloads.on_change("views", lambda config: access.places.configure(config.views))
    server = RpcServer(
        config.server,
        sessions,
        LazyApp(lambda: _web_app(foundation, controller, access, meter, providers)),
        local=SocketPlace(config.storage.local_socket, clock=foundation.clock, mode=0o600),
    )

    def apply(config: AgentConfig) -> None:
        server.configure(config.server)
        sessions.configure(
            max_calls=config.server.max_calls,
            max_queued_events=config.server.max_queued_events,
            max_message_bytes=config.server.max_message_bytes,
            event_journal_bytes=config.server.event_journal_bytes,
        )

    foundation.reloads.on_change("server", apply)
    return server


def build_sessions(
    foundation: Foundation, access: ClientAccess, table: MethodTable, topics: EventTopics
) -> Sessions:
    """Return the sessions of clients that call the methods of `table`, limited as configured."""
    config = foundation.config
    journal = EventJournal(foundation.events, topics, max_bytes=config.server.event_journal_bytes)
    limiter = RateLimiter(config.auth.calls_per_s, config.auth.calls_burst, foundation.clock)

    def apply(config: AgentConfig) -> None:
        limiter.configure(config.auth.calls_per_s, config.auth.calls_burst)
        access.throttle.configure(config.auth.failures_per_minute)
        access.logins.configure(config.auth.token_lifetime_s)

    foundation.reloads.on_change("auth", apply)
    return Sessions(
        SharedParts(
            table=table,
            authenticator=access.authenticator,
            limiter=limiter,
            events=EventSource(foundation.events, journal, topics, config.server.max_queued_events),
            clock=foundation.clock,
            live=access.live,
            max_calls=config.server.max_calls,
            max_message_bytes=config.server.max_message_bytes,
        )
    )


def _web_app(
    foundation: Foundation,
    controller: Controller,
    access: ClientAccess,
    meter: ViewMeter,
    providers: Sequence[Providers],
) -> "ASGIApp":
    from starlette.routing import Route

    from agent_core.web.login import LoginResource
    from agent_core.web.pages import page_routes
    from agent_core.web.routes import web_app
    from agent_core.web.views.access import ViewAccess
    from agent_core.web.views.routes import CameraViews, view_routes

    async def collect() -> Sequence[Collected]:
        await controller.prepare_metrics()
        return foundation.metrics.collect()

    cameras = CameraViews(
        controller.take_picture, controller.view, controller.require_connected, controller.relay_whep
    )
    views = ViewAccess(access.authenticator, access.views, access.live)
    pages = {each.plugin: each.pages for each in providers}
    return web_app(
        ready=controller.ready,
        metrics=collect,
        gate=access.authenticator,
        links=access.links,
        live=access.live,
        open_download=controller.open_download,
        open_thumbnail=controller.open_thumbnail,
        more=[
            Route("/login", LoginResource(access.logins.redeem, access.logins.end)),
            *view_routes(views, cameras, places=access.places, meter=meter, clock=foundation.clock),
            *page_routes(pages, access.authenticator, access.live, foundation.clock),
        ],
    )


def _add_from_plugins(table: MethodTable, topics: EventTopics, providers: Sequence[Providers]) -> None:
    for each in providers:
        table.add_plugin_methods(each.plugin, each.methods)
        for topic in each.topics:
            topics.add_plugin_topic(each.plugin, topic)
