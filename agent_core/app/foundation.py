"""Objects that all parts of one agent share."""

from dataclasses import dataclass

from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.config import AgentConfig

__all__ = ("Foundation",)


@dataclass(frozen=True, slots=True)
class Foundation:
    """Configuration, event bus and clock of one agent; made first and passed to everything that builds a part."""

    config: AgentConfig
    events: EventBus
    clock: Clock
