"""Parameters and results of the methods about the connection itself."""

from typing import Annotated, Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.auth.roles import Role
from agent_core.base.models import CAMERA_ID
from agent_core.plugin import RpcParams, RpcResult

__all__ = (
    "AuthenticateParams",
    "Authenticated",
    "Filters",
    "GlobalStats",
    "ReplaySince",
    "SubscribeParams",
    "Subscribed",
    "SubscriptionStats",
    "UnsubscribeParams",
    "Unsubscribed",
)


class AuthenticateParams(RpcParams):
    auth_token: str = Field(description="token (JWT) or API key")


class Authenticated(RpcResult):
    authenticated: Literal[True]
    role: Role
    permissions: tuple[str, ...]
    expires_at: Timestamp | None = Field(description="null if the API key does not expire")
    session_id: str


class Filters(RpcParams):
    device: str | None = Field(
        None, pattern=f"^{CAMERA_ID.pattern}$", description="deliver only events about this camera"
    )


class ReplaySince(RpcParams):
    """Last event that the client has got, on this or on an earlier connection."""

    boot_id: str = Field(max_length=100, description="from the answer of subscribe_events")
    sequence: int = Field(ge=0, le=2**53 - 1, description="number of that event")


class SubscribeParams(RpcParams):
    topics: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)] = Field(
        description="topics of the agent or of a plugin"
    )
    filters: Filters | None = None
    replay_since: ReplaySince | None = Field(
        None, description="deliver first, from the agent's journal, the events since this one"
    )


class Subscribed(RpcResult):
    subscribed: Literal[True]
    topics: tuple[str, ...]
    filters: dict[str, str]
    boot_id: str = Field(description="start of the agent that the numbers of its events belong to")
    sequence: int = Field(description="number of the newest event; those published from now on are higher")


class UnsubscribeParams(RpcParams):
    topics: Annotated[tuple[str, ...], Field(max_length=100)] | None = Field(
        None, description="default: all topics"
    )


class Unsubscribed(RpcResult):
    unsubscribed: Literal[True]
    topics: tuple[str, ...] = Field(description="topics that were subscribed to")


class GlobalStats(RpcResult):
    total_subscriptions: int
    active_clients: int
    topic_counts: dict[str, int]


class SubscriptionStats(RpcResult):
    global_stats: GlobalStats
    client_topics: tuple[str, ...]
    client_id: str
