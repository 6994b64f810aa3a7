"""Methods about the connection itself."""

import json
from typing import Literal

from pydantic import JsonValue

from agent_core.api.examples import session as examples
from agent_core.api.schema.params import NoParams
from agent_core.api.schema.session import (
    Authenticated,
    AuthenticateParams,
    GlobalStats,
    Subscribed,
    SubscribeParams,
    SubscriptionStats,
    Unsubscribed,
    UnsubscribeParams,
)
from agent_core.api.schema.system import CONTRACT_VERSION
from agent_core.auth.roles import Role
from agent_core.base.errors import AuthenticationFailed, InvalidParams, RateLimited
from agent_core.rpc.feed import Place
from agent_core.rpc.sessions import Sessions
from agent_core.rpc.table import Caller, Method, MethodTable, SerializedResult
from agent_core.rpc.topics import EventTopics

__all__ = ("add_session_methods",)

_Document = dict[str, JsonValue]


def add_session_methods(
    table: MethodTable, sessions: Sessions, topics: EventTopics, *, title: str, version: str
) -> None:
    """Add `ping`, `authenticate`, `rpc.discover` and the subscription methods.

    `title` and `version` are those of the document of `rpc.discover`, which is created at the first call.
    """
    for method in (
        _PING,
        _AUTHENTICATE,
        _discover(table, topics, title, version),
        _SUBSCRIBE,
        _UNSUBSCRIBE,
        _stats(sessions),
    ):
        table.add(method)


async def _ping(_params: NoParams, _caller: Caller) -> str:
    return "pong"


async def _authenticate(params: AuthenticateParams, caller: Caller) -> Authenticated:
    principal = await caller.session.authenticate(params.auth_token)
    return Authenticated(
        authenticated=True,
        role=principal.role,
        permissions=principal.role.permissions,
        expires_at=principal.expires_at,
        session_id=caller.session.id,
    )


async def _subscribe(params: SubscribeParams, caller: Caller) -> Subscribed:
    device = params.filters.device if params.filters is not None else None
    since = params.replay_since
    place = Place(since.boot_id, since.sequence) if since is not None else None
    newest = caller.session.subscribe(params.topics, device, place)
    return Subscribed(
        subscribed=True,
        topics=params.topics,
        filters={"device": device} if device is not None else {},
        boot_id=newest.boot_id,
        sequence=newest.sequence,
    )


async def _unsubscribe(params: UnsubscribeParams, caller: Caller) -> Unsubscribed:
    return Unsubscribed(unsubscribed=True, topics=caller.session.unsubscribe(params.topics))


_PING = Method(
    "ping",
    None,
    "Answer `pong`, to show that the agent responds.",
    NoParams,
    Literal["pong"],
    _ping,
    prompt=True,
    example=examples.ping,
)
_AUTHENTICATE = Method(
    "authenticate",
    None,
    "Authenticate this connection; call again after the credentials have expired.",
    AuthenticateParams,
    Authenticated,
    _authenticate,
    errors=(AuthenticationFailed, RateLimited),
    omit_none=False,
    prompt=True,
    example=examples.authenticate,
)
_SUBSCRIBE = Method(
    "subscribe_events",
    Role.VIEWER,
    "Subscribe this connection to more topics.",
    SubscribeParams,
    Subscribed,
    _subscribe,
    errors=(InvalidParams,),
    prompt=True,
    example=examples.subscribe_events,
)
_UNSUBSCRIBE = Method(
    "unsubscribe_events",
    Role.VIEWER,
    "End the subscription to these topics, or to all.",
    UnsubscribeParams,
    Unsubscribed,
    _unsubscribe,
    errors=(InvalidParams,),
    prompt=True,
    example=examples.unsubscribe_events,
)


def _discover(table: MethodTable, topics: EventTopics, title: str, version: str) -> Method:
    made: list[SerializedResult[_Document]] = []

    async def discover(_params: NoParams, _caller: Caller) -> SerializedResult[_Document]:
        """Return the document, cached because anonymous peers may call this without limit."""
        if not made:
            from agent_core.rpc.openrpc import openrpc_document

            document = openrpc_document(
                table, topics, title=title, version=version, contract_version=CONTRACT_VERSION
            )
            made.append(SerializedResult(_Document, json.dumps(document, separators=(",", ":"))))
        return made[0]

    summary = "Return the description of all methods and events as an OpenRPC document."
    return Method(
        "rpc.discover",
        None,
        summary,
        NoParams,
        _Document,
        discover,
        omit_none=False,
        example=examples.rpc_discover,
    )


def _stats(sessions: Sessions) -> Method:
    async def answer(_params: NoParams, caller: Caller) -> SubscriptionStats:
        counts = sessions.topic_counts()
        return SubscriptionStats(
            global_stats=GlobalStats(
                total_subscriptions=sum(counts.values()),
                active_clients=sessions.active_clients(),
                topic_counts=counts,
            ),
            client_topics=caller.session.topics,
            client_id=caller.session.id,
        )

    summary = "Return the number of subscriptions, and the topics of this connection."
    return Method(
        "get_subscription_stats",
        Role.VIEWER,
        summary,
        NoParams,
        SubscriptionStats,
        answer,
        prompt=True,
        example=examples.get_subscription_stats,
    )
