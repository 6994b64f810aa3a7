"""Keys that sign calls: one for all agents, or the key of a fleet, from which each agent's own is derived."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

__all__ = ("CallKeys", "agent_key", "chosen_keys", "key_id", "new_fleet_key")

_AGENT_PREFIX, _FLEET_PREFIX = "mk_", "fk_"
#: 32 random bytes in URL-safe base64.
_FORM = re.compile(r"(?:mk|fk)_[A-Za-z0-9_-]{43}", re.ASCII)
_PURPOSE = b"camera-agent mqtt agent key 1\n"
_ID_CHARS = 16


def new_fleet_key() -> str:
    """Return a new key of a fleet."""
    return _FLEET_PREFIX + secrets.token_urlsafe(32)


def agent_key(fleet_key: str, agent: str) -> str:
    """Return the key of one agent of a fleet; it reveals nothing of the fleet's key or of other agents' keys."""
    digest = hmac.new(fleet_key.encode(), _PURPOSE + agent.encode(), hashlib.sha256).digest()
    return _AGENT_PREFIX + urlsafe_b64encode(digest).rstrip(b"=").decode()


def key_id(key: str) -> str:
    """Return the public name of a key, by which the agent finds it."""
    return hashlib.sha256(key.encode()).hexdigest()[:_ID_CHARS]


@dataclass(frozen=True, slots=True)
class CallKeys:
    """Keys for the agents of a fleet. `text` is a key of kind `mqtt` that all of them have, or the fleet's own key.

    Raises:
        ValueError: `text` is neither.
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.text):
            raise ValueError(
                f"a key has the form {_AGENT_PREFIX}... or {_FLEET_PREFIX}..., and 46 characters altogether"
            )

    @property
    def is_of_fleet(self) -> bool:
        return self.text.startswith(_FLEET_PREFIX)

    def of(self, agent: str) -> str:
        """Return the key for calls of `agent`."""
        return agent_key(self.text, agent) if self.is_of_fleet else self.text


def chosen_keys(key: str | None, fleet_key: str | None) -> CallKeys | None:
    """Return the keys that a program has given; None for none. Raises ValueError for both, or one of the other kind."""
    if key is not None and fleet_key is not None:
        raise ValueError("give the key of the agents or that of the fleet, not both")
    text = key if fleet_key is None else fleet_key
    if text is None:
        return None
    keys = CallKeys(text)
    if keys.is_of_fleet != (fleet_key is not None):
        raise ValueError("a key of a fleet begins with fk_, and that of an agent with mk_")
    return keys
