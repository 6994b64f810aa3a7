"""Names by which Home Assistant knows the agent, its cameras and their entities."""

import re
from dataclasses import dataclass

__all__ = ("HubIds", "escaped")

#: Marks the topics of all agents, so that an agent never clears what another program described.
_MARK = "camera-agent-"
_ALLOWED = re.compile(r"[a-zA-Z0-9-]")


def escaped(text: str) -> str:
    """Return `text` with only the characters that Home Assistant allows in a discovery topic: `[a-zA-Z0-9_-]`.

    Different texts stay different: `_` becomes `__`, any other character `_` and two hex digits for each byte.
    """
    return "".join(map(_escaped_character, text))


def _escaped_character(character: str) -> str:
    if _ALLOWED.fullmatch(character):
        return character
    if character == "_":
        return "__"
    return "".join(f"_{byte:02x}" for byte in character.encode())


@dataclass(frozen=True, slots=True)
class HubIds:
    """Ids of one agent below the discovery prefix `prefix`.

    A camera's ids contain the id from the agent's ledger, and so stay when it is plugged in again, on another port too. All
    contain the agent's id, which is one level of a topic: it has no `/`, and two agents never share an id.
    """

    prefix: str
    agent: str

    @property
    def node(self) -> str:
        """Level of the topics that is this agent's alone."""
        return _MARK + escaped(self.agent)

    @property
    def all_descriptions(self) -> str:
        """Filter of everything that this agent describes."""
        return f"{self.prefix}/+/{self.node}/+/config"

    def description(self, component: str, key: str, subject: str = "") -> str:
        """Return the topic of one entity's description. `key` has only lower-case letters and `_`."""
        name = f"{key}-{escaped(subject)}" if subject else key
        return f"{self.prefix}/{component}/{self.node}/{name}/config"

    def device(self, camera: str = "") -> str:
        """Return the identifier of the agent's or a camera's device."""
        return f"camera-agent/{self.agent}/{camera}" if camera else f"camera-agent/{self.agent}"

    def entity(self, device: str, key: str, subject: str = "") -> str:
        """Return the unique id of an entity of `device`."""
        return f"{device}/{key}:{subject}" if subject else f"{device}/{key}"
