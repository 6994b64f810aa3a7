import hashlib
import hmac
import re
import secrets
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from agent_core.auth.stored_view import CredentialFile, StoredView, no_check
from agent_core.base.errors import AuthenticationFailed, StartFailed
from agent_core.base.files import explain_os_error, make_folder, write_new
from agent_core.base.small_files import read_small

__all__ = ("Secret", "SecretFile", "SecretSource")

#: HS256 requires a key at least as long as its hash (RFC 7518, 3.2).
_MIN_SECRET_BYTES = 32


#: Words in the secrets of examples, tutorials and default configurations of other products.
_DEFAULTS = re.compile(
    r"change[-_ ]?(me|this|in)|default|example|your[-_ ]|secret[-_ ]key|password", re.IGNORECASE
)


class Secret:
    """Key that signs tokens. Never shown, not even by `repr`."""

    def __init__(self, value: bytes, path: Path | None = None) -> None:
        """Check the value. Raises StartFailed, which names `path`, for a weak or well-known one."""
        _refuse_weak(value, path)
        self._value = value

    def __repr__(self) -> str:
        return "Secret(...)"

    @property
    def value(self) -> bytes:
        return self._value

    def derive(self, purpose: str) -> bytes:
        """Return a key for another purpose than tokens; neither can replace the other."""
        return hmac.digest(self._value, purpose.encode(), hashlib.sha256)

    def current(self) -> "Secret":
        """Return this secret, which does not change; see `SecretSource`."""
        return self

    @classmethod
    def load(cls, path: Path) -> "Secret":
        """Read the secret; on the first start generate one, readable only by this user. Blocks.

        Raises:
            StartFailed: the secret is weak, or its file is readable by other users, not a regular file, owned by
                another user, or cannot be read or written.
        """
        try:
            if not path.exists():
                _generate(path)
            return _parsed(path, read_small(path, private=True))
        except OSError as error:
            why = explain_os_error(error, f"read the agent's secret, {path}")
            raise StartFailed(why.details, reason="secret_unreadable", suggestion=why.suggestion) from error


class SecretSource(Protocol):
    """Source of the secret: a `Secret`, or a `SecretFile`, whose secret may change."""

    def current(self) -> Secret:
        """Return the secret. Raises AuthenticationFailed if there is none."""
        ...


class SecretFile(CredentialFile[Secret | None]):
    """Secret in a file, read again when it has changed: a new file invalidates all that the old secret has signed.

    Args:
        path: the file.
        require: as for `StoredView`.
    """

    def __init__(self, path: Path, *, require: Callable[[], None] = no_check) -> None:
        super().__init__(
            StoredView(
                path,
                partial(_parsed, path),
                missing=None,
                unusable=None,
                consequence="no token is valid",
                require=require,
            )
        )
        self._require = require

    def refresh(self) -> Secret | None:
        """Return the secret that the file has now; None if it is missing or unusable. Blocks on the disk."""
        return self._view.refresh()

    def current(self) -> Secret:
        """Return the secret that the file had at the last `refresh`.

        Raises:
            AuthenticationFailed: the file was missing or unusable.
        """
        secret = self._view.value
        if secret is None:
            raise AuthenticationFailed(
                "The agent's secret is missing or unusable, so no token is valid.",
                reason="no_secret",
                suggestion="See the agent's log. An API key can still be used; results then have no download_url.",
            )
        return secret

    def ensure(self) -> None:
        """Generate a secret if there is no file, as `Secret.load` does. Blocks on the disk.

        Raises:
            StartFailed: the secret is unusable, or cannot be generated.
            StorageFailed: the state folder is not there.
        """
        self._require()
        Secret.load(self._view.path)


def _parsed(path: Path, content: bytes) -> Secret:
    """Return the secret in the file's content. Raises StartFailed if it is weak, or other users can read the file."""
    _refuse_exposed(path)
    return Secret(content.strip(), path)


def _generate(path: Path) -> None:
    make_folder(path.parent)
    try:
        write_new(path, secrets.token_urlsafe(48).encode() + b"\n", mode=0o600)
    except FileExistsError:
        return  # Another process of this agent, for example `token create`, was faster.


def _refuse_exposed(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise StartFailed(
            f"The file with the agent's secret, {path}, can be read by other users.",
            reason="secret_exposed",
            suggestion="Delete it, so that the agent generates a new one, or set its mode to 0600.",
        )


def _refuse_weak(value: bytes, path: Path | None) -> None:
    advice = f"Delete the file{f' {path}' if path else ''}; the agent generates a strong one when it starts."
    if len(value) < _MIN_SECRET_BYTES or len(set(value)) < 8:
        raise StartFailed("The agent's secret is too short.", reason="secret_too_short", suggestion=advice)
    if _DEFAULTS.search(value.decode(errors="replace")):
        raise StartFailed(
            "The agent's secret is a well-known default.", reason="secret_default", suggestion=advice
        )
