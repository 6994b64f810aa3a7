"""Revoked tokens and links, kept in the state folder."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.auth.stored_view import CredentialFile, StoredView, no_check, parsed
from agent_core.base.clock import Clock
from agent_core.base.errors import InvalidState
from agent_core.base.moments import UtcMoment

__all__ = ("MOST_REVOKED", "TOKEN_ID", "RevokedTokens")

#: Name of the file's content in messages.
_TOKENS = "revoked tokens"
#: Form of a token's id, the claim `jti`.
TOKEN_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}", re.ASCII)
#: Most entries; with the longest ids they stay below the size limit of state files.
MOST_REVOKED = 4096


class _Revoked(BaseModel):
    """Entry of a token. `expires_at` is None if the token's end is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    expires_at: UtcMoment | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    tokens: tuple[_Revoked, ...] = ()

    def ids(self) -> frozenset[str]:
        return frozenset(each.id for each in self.tokens)


class RevokedTokens(CredentialFile[frozenset[str] | None]):
    """Ids of revoked tokens and of links, revoked by themselves, in one file, read again when it has changed.

    Like the file of API keys it has no backup, which could restore a token. While it is unusable, no token is valid.

    Args:
        path: the file.
        clock: tells which tokens have expired.
        require: as for `StoredView`.
    """

    def __init__(self, path: Path, clock: Clock, *, require: Callable[[], None] = no_check) -> None:
        self._clock = clock
        super().__init__(
            StoredView(
                path,
                lambda content: parsed(_File, content, path.name).ids(),
                missing=frozenset(),
                unusable=None,
                consequence="no token is valid",
                require=require,
            )
        )

    def covers(self, token_id: str) -> bool:
        """Return True if the token was revoked, or the file unusable, at the last `refresh`."""
        ids = self._view.value
        return ids is None or token_id in ids

    def revoke(self, token_id: str, expires_at: datetime | None = None) -> None:
        """Revoke a token or link until its end, or for good if that is None. Blocks on the disk.

        Entries of expired tokens make room for new ones only when there are `MOST_REVOKED`: a clock that is set
        back makes an expired token valid again.

        Raises:
            InvalidState: there are `MOST_REVOKED` tokens that have not expired.
            StateCorrupt: the file is not a file of revoked tokens; it is left unchanged.
            StorageFailed: the file could not be read or written.
        """
        with self._view.changing(_TOKENS):
            kept = self._with_room(token_id)
            content = _File(tokens=(*kept, _Revoked(id=token_id, expires_at=expires_at)))
            self._view.replace(content.model_dump_json(indent=1).encode() + b"\n", _TOKENS)

    def _with_room(self, token_id: str) -> "list[_Revoked]":
        """Return the other entries to keep. Raises as `revoke`."""
        kept = [each for each in self._stored().tokens if each.id != token_id]
        if len(kept) >= MOST_REVOKED:
            now = self._clock.now()
            kept = [each for each in kept if each.expires_at is None or each.expires_at > now]
        if len(kept) >= MOST_REVOKED:
            raise InvalidState(
                f"{MOST_REVOKED} tokens are revoked already, the limit.",
                state="full",
                allowed_states=("not_full",),
                suggestion=(
                    "Delete the agent's secret, so that it generates a new one and no older token is valid; "
                    f"then delete {self._view.path.name} beside it, which only older tokens need."
                ),
            )
        return kept

    def _stored(self) -> _File:
        return self._view.stored(
            _File,
            _TOKENS,
            suggestion="Restore it from a copy, or delete it and the secret, so that no older token is valid.",
        )
