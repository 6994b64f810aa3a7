"""API keys as the file has them, of two kinds: those that a client presents, and those with which it signs."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from agent_core.auth.roles import Role
from agent_core.base.moments import UtcMoment

__all__ = ("API_KEY_PREFIX", "MQTT_KEY_PREFIX", "ApiKey", "KeyKind", "KnownKeys", "key_digest", "key_form")

API_KEY_PREFIX = "ck_"
MQTT_KEY_PREFIX = "mk_"
#: Hex digits of an id; two of a million keys share one with a probability of 1 in 30 million.
_ID_CHARS = 16


class KeyKind(StrEnum):
    """Use of a key: `api` is presented as a bearer token, `mqtt` signs calls through a broker and is never sent."""

    API = "api"
    MQTT = "mqtt"

    @property
    def prefix(self) -> str:
        """First characters of such a key's text."""
        return API_KEY_PREFIX if self is KeyKind.API else MQTT_KEY_PREFIX

    def new(self) -> str:
        """Return the text of a new key: the prefix and 32 random bytes in URL-safe base64."""
        return self.prefix + secrets.token_urlsafe(32)


def key_form(kind: KeyKind) -> re.Pattern[str]:
    """Return the form of a key's text: the prefix and 32 bytes in URL-safe base64."""
    return _FORMS[kind]


_FORMS: Mapping[KeyKind, re.Pattern[str]] = {
    kind: re.compile(rf"{kind.prefix}[A-Za-z0-9_-]{{43}}", re.ASCII) for kind in KeyKind
}


def key_digest(key: str) -> str:
    """Return what identifies a key. A plain `sha256` suffices as the hash: the key has 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKey(BaseModel):
    """Stored form of a key: a hash, and for `mqtt` also the key itself, without which no signature can be checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    role: Role
    sha256: str
    created_at: UtcMoment
    expires_at: UtcMoment | None = None
    kind: KeyKind = KeyKind.API
    secret: str | None = Field(None, repr=False)

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if (self.secret is None) != (self.kind is KeyKind.API):
            raise ValueError("a key of kind mqtt needs its secret, and one of kind api has none")
        if self.secret is not None and not (
            key_form(self.kind).fullmatch(self.secret) and key_digest(self.secret) == self.sha256
        ):
            raise ValueError("the secret is not that of this key")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what API keys do not need, so that an agent that knows no kinds reads a file of them."""
        members: dict[str, object] = handler(self)
        if self.kind is KeyKind.API:
            del members["kind"], members["secret"]
        return members

    @property
    def id(self) -> str:
        """The key's public name: a part of its hash, which reveals nothing of the key."""
        return self.sha256[:_ID_CHARS]

    @property
    def credential(self) -> str:
        """`Principal.credential` of this key; a key with another role or end is another credential."""
        end = "" if self.expires_at is None else self.expires_at.isoformat()
        return f"key:{self.id}.{self.role}.{end}"


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Keys for quick checks: thousands of connections may have to be checked after a change.

    Attributes:
        keys: all keys, in the order of the file.
        by_hash: the keys that clients present.
        signing: the keys with which clients sign, by id.
        credentials: those of all keys.
    """

    keys: tuple[ApiKey, ...] = ()
    by_hash: Mapping[str, ApiKey] = field(default_factory=dict)
    signing: Mapping[str, ApiKey] = field(default_factory=dict)
    credentials: frozenset[str] = frozenset()

    @classmethod
    def of(cls, keys: tuple[ApiKey, ...]) -> "KnownKeys":
        ordered = tuple(reversed(keys))  # of two with one hash the first counts
        return cls(
            keys,
            {each.sha256: each for each in ordered if each.kind is KeyKind.API},
            {each.id: each for each in ordered if each.kind is KeyKind.MQTT},
            frozenset(each.credential for each in keys),
        )
