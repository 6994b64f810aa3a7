"""Plugin class with its hooks."""

from agent_core.plugin import AgentContext, Check, Component, Plugin, SnapshotTier, hookimpl
from rtsp_tier.component import RtspTierComponent
from rtsp_tier.settings import RtspTierSettings

__all__ = ("RtspTierPlugin",)


class RtspTierPlugin(Plugin[RtspTierSettings]):
    """Plugin with three tiers, the component that owns their worker process, and a check of the decoder."""

    Settings = RtspTierSettings
    hookspec_api = ">=1.4,<2"

    def __init__(self, settings: RtspTierSettings) -> None:
        super().__init__(settings)
        self._component: RtspTierComponent | None = None

    @hookimpl
    def agent_snapshot_tiers(self, agent: AgentContext) -> list[SnapshotTier]:
        component = self._assembled(agent)
        return [component.decoded, component.reuse, component.activation]

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        return [self._assembled(agent)]

    @hookimpl
    def agent_checks(self) -> list[Check]:
        from rtsp_tier.checks import DecoderCheck  # only `doctor` needs it

        return [DecoderCheck()]

    def _assembled(self, agent: AgentContext) -> RtspTierComponent:
        """Return the component, which both hooks share; the core does not promise their order."""
        if self._component is None:
            self._component = RtspTierComponent.assemble(agent, self.settings)
        return self._component
