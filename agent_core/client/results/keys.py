"""Results of the methods about keys.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime

from agent_core.client.results.words import KeyKind, Role

__all__ = ("KeyCreated", "KeyEntry", "KeyList", "KeyRevoked")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    id: str
    user: str
    kind: KeyKind
    role: Role
    created_at: datetime
    #: null if the key does not expire
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    keys: list[KeyEntry]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRevoked:
    id: str
    user: str
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCreated:
    id: str
    user: str
    kind: KeyKind
    role: Role
    created_at: datetime
    #: null if the key does not expire
    expires_at: datetime | None
    #: the key itself; shown only here
    key: str
