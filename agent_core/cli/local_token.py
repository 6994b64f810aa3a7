"""Tokens made with the secret of this host."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.errors import AuthenticationFailed, StartFailed
from agent_core.base.small_files import UnsafeFile, open_regular

if TYPE_CHECKING:
    from agent_core.auth.tokens import TokenAuthority
    from agent_core.config import StorageConfig

__all__ = ("is_foreign", "local_token", "token_authority")

_LIFETIME_S = 60.0


def local_token(storage: "StorageConfig") -> str | None:
    """A token of a minute with all rights; None where no agent has made a secret yet.

    Raises:
        AuthenticationFailed: the secret is there and not for this account.
    """
    try:
        os.close(open_regular(storage.secret_file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnsafeFile:
        pass  # said below
    except OSError as error:
        raise _unreadable() from error
    from agent_core.auth.roles import Role

    return token_authority(storage).create(f"local-{os.getuid()}", Role.ADMIN, _LIFETIME_S)


def token_authority(storage: "StorageConfig") -> "TokenAuthority":
    """Makes tokens that the agent accepts; a secret that does not exist yet is made where that is ours to do.

    Raises:
        AuthenticationFailed: the secret cannot be used, or would not belong to the agent.
    """
    from agent_core.auth.secret import Secret
    from agent_core.auth.tokens import TokenAuthority
    from agent_core.base.clock import SystemClock

    try:
        _refuse_foreign(storage)
        return TokenAuthority(Secret.load(storage.secret_file), SystemClock())
    except PermissionError as error:
        raise _unreadable() from error
    except StartFailed as error:
        raise AuthenticationFailed(error.details, reason=error.reason, suggestion=error.suggestion) from error


def is_foreign(state_dir: Path) -> bool:
    """Return True if the folder exists and belongs to another account, whose agent could not read files made by this one."""
    return state_dir.exists() and state_dir.stat().st_uid != os.geteuid()


def _refuse_foreign(storage: "StorageConfig") -> None:
    """A secret made here in another account's folder could not be read by the agent that runs there."""
    if not storage.secret_file.exists() and is_foreign(storage.state_dir):
        raise AuthenticationFailed(
            "The agent has no secret yet, and its state folder belongs to another account.",
            reason="no_secret",
            suggestion="Start the agent once, or run this as the agent's user.",
        )


def _unreadable() -> AuthenticationFailed:
    return AuthenticationFailed(
        "The agent's state folder on this host cannot be read by this account.",
        reason="state_unreadable",
        suggestion="Give a token by --token-file or in CAMERA_AGENT_TOKEN, or run this as the agent's user.",
    )
