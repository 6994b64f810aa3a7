"""Results of the methods about session.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime

from agent_core.client.results.words import Role

__all__ = ("Authenticated", "GlobalStats", "Subscribed", "SubscriptionStats", "Unsubscribed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    authenticated: bool
    role: Role
    permissions: list[str]
    #: null if the API key does not expire
    expires_at: datetime | None
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    subscribed: bool
    topics: list[str]
    filters: dict[str, str]
    #: start of the agent that the numbers of its events belong to
    boot_id: str
    #: number of the newest event; those published from now on are higher
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed:
    unsubscribed: bool
    #: topics that were subscribed to
    topics: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalStats:
    total_subscriptions: int
    active_clients: int
    topic_counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStats:
    global_stats: GlobalStats
    client_topics: list[str]
    client_id: str
