"""Tokens made with the secret of this host."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.errors import AuthenticationFailed, StartFailed
from agent_core.base.small_files import UnsafeFile, open_regular

if TYPE_CHECKING:
    from agent_core.auth.secret import Secret
    from agent_core.auth.tokens import TokenAuthority
    from agent_core.config import StorageConfig

__all__ = ("is_foreign", "local_token", "refuse_foreign_state", "secret_of", "token_authority")

_LIFETIME_S = 60.0


def local_token(storage: "StorageConfig") -> str | None:
    """Return an admin token that is valid for a minute; None if no agent has made a secret yet.

    Raises:
        AuthenticationFailed: the secret exists, but this user may not read it.
    """
    try:
        os.close(open_regular(storage.secret_file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnsafeFile:
        pass  # reported below
    except OSError as error:
        raise _unreadable() from error
    from agent_core.auth.roles import Role

    return token_authority(storage).create(f"local-{os.getuid()}", Role.ADMIN, _LIFETIME_S)


def token_authority(storage: "StorageConfig") -> "TokenAuthority":
    """Return a maker of tokens that the agent accepts; create the secret if the state folder is this user's.

    Raises:
        AuthenticationFailed: the secret cannot be used, or would belong to another user than the agent.
    """
    from agent_core.auth.tokens import TokenAuthority
    from agent_core.base.clock import SystemClock

    return TokenAuthority(secret_of(storage), SystemClock())


def secret_of(storage: "StorageConfig") -> "Secret":
    """Return the agent's secret; create it if the state folder is this user's. Raises as `token_authority`."""
    from agent_core.auth.secret import Secret

    try:
        _refuse_foreign(storage)
        return Secret.load(storage.secret_file)
    except PermissionError as error:
        raise _unreadable() from error
    except StartFailed as error:
        raise AuthenticationFailed(error.details, reason=error.reason, suggestion=error.suggestion) from error


def is_foreign(state_dir: Path) -> bool:
    """Return True if the folder exists and belongs to another user, whose agent could not read our files."""
    return state_dir.exists() and state_dir.stat().st_uid != os.geteuid()


def refuse_foreign_state(storage: "StorageConfig") -> None:
    """Refuse to write a file of the state folder that another user's agent could not read.

    Raises:
        AuthenticationFailed: the state folder belongs to another user.
    """
    if is_foreign(storage.state_dir):
        from agent_core.base.accounts import account_name

        owner = account_name(storage.state_dir.stat().st_uid)
        raise AuthenticationFailed(
            f"The agent's state folder belongs to another user, {owner}.",
            reason="state_foreign",
            suggestion=f"Run this as that user, with `sudo -u {owner}` before the command.",
        )


def _refuse_foreign(storage: "StorageConfig") -> None:
    """Refuse to create a secret in another user's folder: the agent of that user could not read it."""
    if not storage.secret_file.exists() and is_foreign(storage.state_dir):
        raise AuthenticationFailed(
            "The agent has no secret yet, and its state folder belongs to another user.",
            reason="no_secret",
            suggestion="Start the agent once, or run this as the agent's user.",
        )


def _unreadable() -> AuthenticationFailed:
    return AuthenticationFailed(
        "This user cannot read the agent's state folder on this host.",
        reason="state_unreadable",
        suggestion="Give a token with --token-file or in CAMERA_AGENT_TOKEN, or run this as the agent's user.",
    )
