"""API keys in the state folder, and the keys that sign calls through a broker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.auth.roles import Principal, Role
from agent_core.auth.stored_keys import ApiKey, KeyKind, KnownKeys, key_digest, key_form
from agent_core.auth.stored_view import CredentialFile, StoredView, no_check, parsed
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, InvalidParams, InvalidState, NotFound

__all__ = ("ApiKeys", "NewKey")

#: Name of the file's content in messages.
_KEYS = "API keys"


@dataclass(frozen=True, slots=True)
class NewKey:
    """Wanted key. `text` is an existing key of kind `mqtt`, such as one derived from that of a fleet; None for a new one."""

    user_id: str
    role: Role
    kind: KeyKind = KeyKind.API
    expires_at: datetime | None = None
    text: str | None = field(default=None, repr=False)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()


class ApiKeys(CredentialFile[KnownKeys]):
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
                lambda content: KnownKeys.of(parsed(_File, content, path.name).keys),
                missing=KnownKeys(),
                unusable=KnownKeys(),
                consequence="no API key is valid",
                require=require,
            )
        )

    def create(self, user_id: str, role: Role, *, expires_at: datetime | None = None) -> str:
        """Create a key of kind `api` as `add` does, and return its text."""
        return self.add(NewKey(user_id, role, expires_at=expires_at))[0]

    def add(self, wanted: NewKey) -> tuple[str, ApiKey]:
        """Store a key; return its text, which of kind `api` is possible only once, and its stored form. Blocks on the disk.

        Raises:
            InvalidParams: `wanted.text` is not the text of a key of kind `mqtt`.
            InvalidState: the user already has a key of this kind, or the key is another user's.
            StateCorrupt: the file is not a file of API keys; it is left unchanged.
            StorageFailed: the file could not be read or written.
        """
        key, kind = wanted.kind.new() if wanted.text is None else _usable(wanted), wanted.kind
        stored = ApiKey(
            user_id=wanted.user_id,
            role=wanted.role,
            sha256=key_digest(key),
            created_at=self._clock.now(),
            expires_at=wanted.expires_at,
            kind=kind,
            secret=key if kind is KeyKind.MQTT else None,
        )
        with self._changing() as keys:
            if any(each.user_id == stored.user_id and each.kind is kind for each in keys):
                raise _exists(
                    f"This user already has {_KINDS[kind]}.",
                    "Revoke that key first, or choose another user's name.",
                )
            if any(each.id == stored.id for each in keys):
                raise _exists(
                    "This key is already there, for another user.", "Give each user a key of their own."
                )
            self._store((*keys, stored))
        return key, stored

    def revoke(self, user_id: str, kind: KeyKind | None = None) -> ApiKey:
        """Delete the key of `user_id` and return it; None as the kind is for a user with one key. Blocks on the disk.

        Raises:
            NotFound: the user has no such key.
            InvalidState: the user has keys of both kinds, and `kind` is None.
            StateCorrupt, StorageFailed: as for `add`.
        """
        with self._changing() as keys:
            found = _of_user(keys, user_id, kind)
            self._replace(keys, found, ())
        return found

    def revoke_id(self, key_id: str) -> ApiKey:
        """Delete a key by its id and return it. Raises NotFound, StateCorrupt, StorageFailed. Blocks on the disk."""
        with self._changing() as keys:
            found = next((each for each in keys if each.id == key_id), None)
            if found is None:
                raise NotFound("There is no API key with this id.", resource="api_key", id=key_id)
            self._replace(keys, found, ())
        return found

    def change_role(self, user_id: str, role: Role, kind: KeyKind | None = None) -> ApiKey:
        """Give the key of `user_id` another role and return it; its connections end. Blocks on the disk.

        Raises:
            NotFound, InvalidState, StateCorrupt, StorageFailed: as for `revoke`.
        """
        with self._changing() as keys:
            old = _of_user(keys, user_id, kind)
            new = old.model_copy(update={"role": role})
            self._replace(keys, old, (new,))
        return new

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
        found = (
            self._view.value.by_hash.get(key_digest(key)) if key_form(KeyKind.API).fullmatch(key) else None
        )
        if found is None:
            raise AuthenticationFailed("This API key is unknown.", reason="api_key_invalid")
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise AuthenticationFailed("This API key has expired.", reason="api_key_expired")
        return Principal(found.user_id, found.role, found.expires_at, found.credential)

    def signing(self, key_id: str) -> ApiKey | None:
        """Return the key of kind `mqtt` with this id, by what `refresh` has read last; None without one. Ignores its end."""
        return self._view.value.signing.get(key_id)

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


_KINDS = {KeyKind.API: "an API key", KeyKind.MQTT: "a key for signed calls"}


def _usable(wanted: NewKey) -> str:
    """Return the text of an existing key. Raises InvalidParams if it is none."""
    text = wanted.text or ""
    if wanted.kind is not KeyKind.MQTT or not key_form(wanted.kind).fullmatch(text):
        raise InvalidParams(
            "The given text is not a key for signed calls.",
            param="key",
            rule=f"{KeyKind.MQTT.prefix} and 43 characters of URL-safe base64, for a key of kind mqtt",
            suggestion="Take the text as `camera-agent key create --kind mqtt` has printed it.",
        )
    return text


def _exists(details: str, suggestion: str) -> InvalidState:
    return InvalidState(details, state="exists", allowed_states=("absent",), suggestion=suggestion)


def _of_user(keys: tuple[ApiKey, ...], user_id: str, kind: KeyKind | None) -> ApiKey:
    found = [each for each in keys if each.user_id == user_id and kind in (None, each.kind)]
    if not found:
        missing = "API key" if kind is None else _KINDS[kind].partition(" ")[2]
        raise NotFound(f"This user has no {missing}.", resource="api_key", id=user_id)
    if len(found) > 1:
        raise InvalidState(
            "This user has keys of both kinds.",
            state="ambiguous",
            allowed_states=("one_key",),
            suggestion="Name the kind: api or mqtt.",
        )
    return found[0]
