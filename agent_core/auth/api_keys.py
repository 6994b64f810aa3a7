"""API keys: random strings that identify a user; only their hashes are stored."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.auth.roles import Principal, Role
from agent_core.auth.stored_view import CredentialFile, StoredView, no_check, parsed
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, InvalidState, NotFound
from agent_core.base.moments import UtcMoment

__all__ = ("API_KEY_PREFIX", "ApiKey", "ApiKeys")

API_KEY_PREFIX = "ck_"

#: Name of the file's content in messages.
_KEYS = "API keys"
#: Hex digits of an id; two of a million keys share one with a probability of 1 in 30 million.
_ID_CHARS = 16
#: 32 random bytes in URL-safe base64.
_FORM = re.compile(rf"{API_KEY_PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


class ApiKey(BaseModel):
    """Stored form of a key. A plain `sha256` suffices as the hash: the key has 256 random bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    role: Role
    sha256: str
    created_at: UtcMoment
    expires_at: UtcMoment | None = None

    @property
    def id(self) -> str:
        """The key's public name: a part of its hash, which reveals nothing of the key."""
        return self.sha256[:_ID_CHARS]

    @property
    def credential(self) -> str:
        """`Principal.credential` of this key; a key with another role or end is another credential."""
        end = "" if self.expires_at is None else self.expires_at.isoformat()
        return f"key:{self.id}.{self.role}.{end}"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """Keys for quick checks: thousands of connections may have to be checked after a change."""

    keys: tuple[ApiKey, ...] = ()
    by_hash: Mapping[str, ApiKey] = field(default_factory=dict)
    credentials: frozenset[str] = frozenset()

    @classmethod
    def of(cls, keys: tuple[ApiKey, ...]) -> "_Known":
        by_hash = {each.sha256: each for each in reversed(keys)}  # of two with one hash the first counts
        return cls(keys, by_hash, frozenset(each.credential for each in keys))


class ApiKeys(CredentialFile[_Known]):
    """Keys in one file, read again when it has changed, so that revoking one needs no restart.

    Credentials are judged by what `refresh` has read last, without the disk.
    The file deliberately has no backup, which could restore revoked keys. If it is unreadable, no key is valid.
    """

    def __init__(self, path: Path, clock: Clock, *, require: Callable[[], None] = no_check) -> None:
        """Keep the arguments; nothing is read yet. `require` is that of `StoredView`."""
        self._clock = clock
        super().__init__(
            StoredView(
                path,
                lambda content: _Known.of(parsed(_File, content, path.name).keys),
                missing=_Known(),
                unusable=_Known(),
                consequence="no API key is valid",
                require=require,
            )
        )

    def create(self, user_id: str, role: Role, *, expires_at: datetime | None = None) -> str:
        """Create a key for `user_id` and return it, which is possible only once. Blocks on the disk.

        Raises:
            InvalidState: `user_id` already has a key.
            StateCorrupt: the file is not a file of API keys; it is left unchanged.
            StorageFailed: the file could not be read or written.
        """
        key = API_KEY_PREFIX + secrets.token_urlsafe(32)
        stored = ApiKey(
            user_id=user_id,
            role=role,
            sha256=_hash(key),
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        with self._changing() as keys:
            if any(each.user_id == user_id for each in keys):
                raise InvalidState(
                    "This user already has an API key.",
                    state="exists",
                    allowed_states=("absent",),
                    suggestion="Revoke that key first, or choose another user's name.",
                )
            self._store((*keys, stored))
        return key

    def revoke(self, user_id: str) -> None:
        """Delete the key of `user_id`. Raises NotFound, StateCorrupt, StorageFailed. Blocks on the disk."""
        with self._changing() as keys:
            self._replace(keys, _of_user(keys, user_id), ())

    def revoke_id(self, key_id: str) -> ApiKey:
        """Delete a key by its id and return it. Raises NotFound, StateCorrupt, StorageFailed. Blocks on the disk."""
        with self._changing() as keys:
            found = next((each for each in keys if each.id == key_id), None)
            if found is None:
                raise NotFound("There is no API key with this id.", resource="api_key", id=key_id)
            self._replace(keys, found, ())
        return found

    def change_role(self, user_id: str, role: Role) -> None:
        """Give the key of `user_id` another role; its connections end. Blocks on the disk.

        Raises:
            NotFound, StateCorrupt, StorageFailed: as for `revoke`.
        """
        with self._changing() as keys:
            old = _of_user(keys, user_id)
            self._replace(keys, old, (old.model_copy(update={"role": role}),))

    def _replace(self, keys: tuple[ApiKey, ...], old: ApiKey, new: tuple[ApiKey, ...]) -> None:
        at = keys.index(old)
        self._store((*keys[:at], *new, *keys[at + 1 :]))

    @contextmanager
    def _changing(self) -> Iterator[tuple[ApiKey, ...]]:
        """Yield the stored keys while no other process or thread changes them."""
        with self._view.changing(_KEYS):
            yield self.stored()

    def refresh(self) -> tuple[ApiKey, ...]:
        """Return the keys that the file has now; none while it is unusable. Blocks on the disk."""
        return self._view.refresh().keys

    def is_current(self, credential: str) -> bool:
        """Return True if the key of a `Principal` is still in the file, unchanged."""
        return credential in self._view.value.credentials

    def verify(self, key: str) -> Principal:
        """Return the user of `key`. Raises AuthenticationFailed: `api_key_invalid` or `api_key_expired`."""
        found = self._view.value.by_hash.get(_hash(key)) if _FORM.fullmatch(key) else None
        if found is None:
            raise AuthenticationFailed("This API key is unknown.", reason="api_key_invalid")
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise AuthenticationFailed("This API key has expired.", reason="api_key_expired")
        return Principal(found.user_id, found.role, found.expires_at, found.credential)

    def stored(self) -> tuple[ApiKey, ...]:
        """Read the stored keys. Unlike `refresh`, this raises if the file is unreadable. Blocks on the disk.

        Raises:
            StateCorrupt: the file is not a file of API keys.
            StorageFailed: the file cannot be read.
        """
        return self._view.stored(
            _File, _KEYS, suggestion="Restore it from a copy, or delete it and create new keys."
        ).keys

    def _store(self, keys: tuple[ApiKey, ...]) -> None:
        self._view.replace(_File(keys=keys).model_dump_json(indent=2).encode() + b"\n", _KEYS)


def _of_user(keys: tuple[ApiKey, ...], user_id: str) -> ApiKey:
    found = next((each for each in keys if each.user_id == user_id), None)
    if found is None:
        raise NotFound("This user has no API key.", resource="api_key", id=user_id)
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
