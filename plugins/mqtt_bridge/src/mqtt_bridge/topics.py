"""Topics of one agent at the broker."""

from dataclasses import dataclass

__all__ = ("AgentTopics", "reply_topic")


@dataclass(frozen=True, slots=True)
class AgentTopics:
    """Topics below `<prefix>/<agent>/`.

    `prefix` may have several levels; `agent` is one level. Neither has a wildcard.
    """

    prefix: str
    agent: str

    @property
    def root(self) -> str:
        return f"{self.prefix}/{self.agent}"

    @property
    def status(self) -> str:
        """Retained `online` or `offline`; the last will."""
        return f"{self.root}/status"

    @property
    def agent_state(self) -> str:
        return f"{self.root}/state/agent"

    @property
    def health(self) -> str:
        return f"{self.root}/state/health"

    def camera(self, camera: str) -> str:
        return f"{self.root}/state/cameras/{camera}"

    def recording(self, camera: str) -> str:
        return f"{self.root}/state/recordings/{camera}"

    @property
    def all_state(self) -> str:
        """Filter of everything that the agent retains, except its status, pictures and descriptions."""
        return f"{self.root}/state/#"

    def picture(self, camera: str) -> str:
        return f"{self.root}/pictures/{camera}"

    def event(self, topic: str) -> str:
        return f"{self.root}/events/{topic}"

    @property
    def calls(self) -> str:
        """Requests to this agent."""
        return f"{self.root}/call"

    def control(self, camera: str, what: str) -> str:
        """Unsigned commands of a hub, such as `record`; off by default."""
        return f"{self.root}/control/{camera}/{what}"


def reply_topic(prefix: str, client: str) -> str:
    """Return the only topic to which agents send replies for `client`."""
    return f"{prefix}/replies/{client}"
