"""Choice of agents by id, glob or label."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from mqtt_bridge.client.agents import FleetAgent
from mqtt_bridge.identity import AGENT_ID

__all__ = ("Selector",)

_ALL = "all"
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Selector:
    """Choice of agents: `id` is a glob for their ids; or `label` and `value`, a name and a glob for its value."""

    id: str = ""
    label: str = ""
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Return the selector that `text` describes: an agent's id, a glob such as `north-*`, `LABEL=VALUE`, or `all`.

        Raises:
            ValueError: it can match no agent; the message is a clause.
        """
        label, equals, value = text.partition("=")
        if equals:
            if not label or not value:
                raise ValueError(f"'{text}' lacks the name or the value of a label, as in site=north")
            return cls(label=label, value=value)
        if text == _ALL:
            return cls(id="*")
        if not _WILDCARDS & {*text} and not AGENT_ID.fullmatch(text):
            raise ValueError(f"'{text}' is not an agent's id, a glob such as north-*, LABEL=VALUE, or all")
        return cls(id=text)

    @property
    def only(self) -> str | None:
        """Id of the one agent that is meant, whether or not there is one; None for a choice."""
        return self.id if self.id and not _WILDCARDS & {*self.id} else None

    def matches(self, agent: FleetAgent) -> bool:
        """Return True if `agent` is meant."""
        if self.label:
            return self.label in agent.labels and fnmatchcase(agent.labels[self.label], self.value)
        return self.matches_id(agent.id)

    def matches_id(self, agent: str) -> bool:
        """Return True if the agent with that id is meant; False for a choice by label."""
        return bool(self.id) and fnmatchcase(agent, self.id)
