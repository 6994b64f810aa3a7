"""Methods about session.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING, Any

from agent_core.client.typed import Invokes, InvokesInThread

if TYPE_CHECKING:
    from agent_core.client.results.session import SubscriptionStats

__all__ = ("SessionMethods", "SyncSessionMethods")


class SessionMethods(Invokes):
    async def ping(self) -> str:
        """Answer `pong`, to show that the agent responds."""
        return await self._invoke(str, "ping", {})

    async def discover(self) -> dict[str, Any]:
        """Return the description of all methods and events as an OpenRPC document."""
        return await self._invoke(dict[str, Any], "rpc.discover", {})

    async def get_subscription_stats(self) -> "SubscriptionStats":
        """Return the number of subscriptions, and the topics of this connection."""
        from agent_core.client.results.session import SubscriptionStats

        return await self._invoke(SubscriptionStats, "get_subscription_stats", {})


class SyncSessionMethods(InvokesInThread):
    def ping(self) -> str:
        """Answer `pong`, to show that the agent responds."""
        return self._invoke(str, "ping", {})

    def discover(self) -> dict[str, Any]:
        """Return the description of all methods and events as an OpenRPC document."""
        return self._invoke(dict[str, Any], "rpc.discover", {})

    def get_subscription_stats(self) -> "SubscriptionStats":
        """Return the number of subscriptions, and the topics of this connection."""
        from agent_core.client.results.session import SubscriptionStats

        return self._invoke(SubscriptionStats, "get_subscription_stats", {})
