"""API keys: random strings that identify a user; only their hashes are stored."""

import hashlib
import logging
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agent_core.auth.roles import Principal, Role
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, InvalidState, NotFound, StateCorrupt
from agent_core.base.files import explain_os_error, make_folder, write_atomic
from agent_core.base.small_files import UnsafeFile, read_small

__all__ = ("API_KEY_PREFIX", "ApiKey", "ApiKeys")

API_KEY_PREFIX = "ck_"

_LOG = logging.getLogger("camera_agent.rpc")
#: 32 random bytes in URL-safe base64.
_FORM = re.compile(rf"{API_KEY_PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


class ApiKey(BaseModel):
    """Stored form of a key. A plain `sha256` suffices as the hash: the key has 256 random bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    role: Role
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()


class ApiKeys:
    """Keys in one file, read again when it changes, so that revoking one needs no restart.

    The file deliberately has no backup, which could restore revoked keys. If it is unreadable, no key is valid.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def create(self, user_id: str, role: Role, *, expires_at: datetime | None = None) -> str:
        """Create a key for `user_id` and return it, which is possible only once. Blocks on the disk.

        Raises:
            InvalidState: `user_id` already has a key.
            StateCorrupt: the file is not a file of API keys; it is left unchanged.
            StorageFailed: the file could not be read or written.
        """
        keys = self.stored()
        if any(each.user_id == user_id for each in keys):
            raise InvalidState(
                "This user already has an API key.", state="exists", allowed_states=("absent",)
            )
        key = API_KEY_PREFIX + secrets.token_urlsafe(32)
        stored = ApiKey(
            user_id=user_id,
            role=role,
            sha256=_hash(key),
            created_at=self._clock.now().astimezone(UTC),
            expires_at=expires_at,
        )
        self._store((*keys, stored))
        return key

    def revoke(self, user_id: str) -> None:
        """Delete the key of `user_id`. Raises NotFound, StateCorrupt, StorageFailed. Blocks on the disk."""
        keys = self.stored()
        left = tuple(each for each in keys if each.user_id != user_id)
        if len(left) == len(keys):
            raise NotFound("This user has no API key.", resource="api_key", id=user_id)
        self._store(left)

    def list(self) -> tuple[ApiKey, ...]:
        self._refresh()
        return self._keys

    def verify(self, key: str) -> Principal:
        """Return the user of `key`. Raises AuthenticationFailed: `api_key_invalid` or `api_key_expired`."""
        known = self.list() if _FORM.fullmatch(key) else ()
        hashed = _hash(key) if known else ""
        found = next((each for each in known if each.sha256 == hashed), None)
        if found is None:
            raise AuthenticationFailed("This API key is unknown.", reason="api_key_invalid")
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise AuthenticationFailed("This API key has expired.", reason="api_key_expired")
        return Principal(found.user_id, found.role, found.expires_at)

    def _refresh(self) -> None:
        try:
            status = self._path.lstat()
            now = (status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)
            if now != self._seen:
                self._keys, self._seen = (), now  # log an unusable file once, until it changes
                self._keys = self._read()
        except FileNotFoundError:
            self._keys, self._seen = (), None
        except (UnsafeFile, ValidationError) as error:
            _LOG.error("no API key is valid: %s is unusable (%s)", self._path.name, _why(error))
        except OSError as error:
            _LOG.error("no API key is valid: %s cannot be read (%s)", self._path.name, error.strerror)
            self._seen = None

    def stored(self) -> tuple[ApiKey, ...]:
        """Read the stored keys. Unlike `list`, this raises if the file is unreadable. Blocks on the disk.

        Raises:
            StateCorrupt: the file is not a file of API keys.
            StorageFailed: the file cannot be read.
        """
        try:
            return self._read()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise explain_os_error(error, "read the API keys") from error
        except ValidationError as error:
            raise StateCorrupt(
                f"{self._path.name} in the state folder is not a file of API keys.",
                suggestion="Restore it from a copy, or delete it and create new keys.",
            ) from error

    def _read(self) -> tuple[ApiKey, ...]:
        return _File.model_validate_json(read_small(self._path, private=True)).keys

    def _store(self, keys: tuple[ApiKey, ...]) -> None:
        try:
            make_folder(self._path.parent)
            write_atomic(self._path, _File(keys=keys).model_dump_json(indent=2).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise explain_os_error(error, "store the API keys") from error
        self._seen = None


def _why(error: UnsafeFile | ValidationError) -> str:
    return str(error.strerror) if isinstance(error, UnsafeFile) else "it is not a file of API keys"


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
