"""Examples of the methods about the connection itself."""

from datetime import timedelta

from agent_core.api.examples.story import CAMERA, TAKEN_AT
from agent_core.api.schema import session as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.plugin import MethodExample

__all__ = (
    "authenticate",
    "get_subscription_stats",
    "ping",
    "rpc_discover",
    "subscribe_events",
    "unsubscribe_events",
)

_TOPICS = ("camera.status_change", "recording.start")
_SESSION = "184316143445c6c5"
_BOOT = "9f0c3f6d0a1be4c2"


def ping() -> MethodExample:
    return MethodExample(NoParams(), "pong")


def authenticate() -> MethodExample:
    """Use a word for the token: nothing that looks like one may be in a document."""
    authenticated = wire.Authenticated(
        authenticated=True,
        role=Role.ADMIN,
        permissions=Role.ADMIN.permissions,
        expires_at=TAKEN_AT + timedelta(days=1),
        session_id=_SESSION,
    )
    return MethodExample(wire.AuthenticateParams(auth_token="TOKEN"), authenticated)  # noqa: S106 - not a secret


def rpc_discover() -> MethodExample:
    """Return a document that is cut: the whole one would contain itself."""
    document = {
        "openrpc": "1.3.2",
        "info": {"title": "camera-agent", "version": "0.1.0"},
        "methods": [],
        "x-notifications": [],
        "components": {"schemas": {}},
    }
    return MethodExample(NoParams(), document)


def subscribe_events() -> MethodExample:
    subscribed = wire.Subscribed(
        subscribed=True, topics=_TOPICS, filters={"device": CAMERA}, boot_id=_BOOT, sequence=1215
    )
    params = wire.SubscribeParams(
        topics=_TOPICS,
        filters=wire.Filters(device=CAMERA),
        replay_since=wire.ReplaySince(boot_id=_BOOT, sequence=1207),
    )
    return MethodExample(params, subscribed)


def unsubscribe_events() -> MethodExample:
    unsubscribed = wire.Unsubscribed(unsubscribed=True, topics=("recording.start",))
    return MethodExample(
        wire.UnsubscribeParams(topics=("recording.start",)), unsubscribed, after=("subscribe_events",)
    )


def get_subscription_stats() -> MethodExample:
    stats = wire.SubscriptionStats(
        global_stats=wire.GlobalStats(
            total_subscriptions=2, active_clients=1, topic_counts=dict.fromkeys(_TOPICS, 1)
        ),
        client_topics=_TOPICS,
        client_id=_SESSION,
    )
    return MethodExample(NoParams(), stats, after=("subscribe_events",))
