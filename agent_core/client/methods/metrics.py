"""Methods about metrics.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread

if TYPE_CHECKING:
    from agent_core.client.results.metrics import MetricsForm

__all__ = ("MetricsMethods", "SyncMetricsMethods")


class MetricsMethods(Invokes):
    async def get_metrics(self) -> "MetricsForm":
        """Return the numbers of the agent and its services, from memory."""
        from agent_core.client.results.metrics import MetricsForm

        return await self._invoke(MetricsForm, "get_metrics", {})


class SyncMetricsMethods(InvokesInThread):
    def get_metrics(self) -> "MetricsForm":
        """Return the numbers of the agent and its services, from memory."""
        from agent_core.client.results.metrics import MetricsForm

        return self._invoke(MetricsForm, "get_metrics", {})
