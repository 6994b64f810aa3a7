"""View links: random strings with which pages of other origins show a camera; only their hashes are stored."""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agent_core.auth.stored_view import CredentialFile, StoredView, no_check, parsed
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed, InvalidState, NotFound
from agent_core.base.models import CameraId
from agent_core.base.moments import UtcMoment

__all__ = ("MOST_VIEW_LINKS", "VIEW_LINK_LIFETIME_S", "LinkPaths", "NewViewLink", "ViewLink", "ViewLinks")

#: Name of the file's content in messages.
_LINKS = "view links"
#: Most links that have not ended; with the longest texts they stay below the size limit of state files.
MOST_VIEW_LINKS = 1000
#: Validity of a link in seconds, unless its maker wants another one: 30 days.
VIEW_LINK_LIFETIME_S = 2_592_000
#: Stands for a camera's id in the addresses of a link to all cameras.
_ANY_CAMERA = "{device}"
#: Hex digits of an id, as for API keys.
_ID_CHARS = 16
#: 32 random bytes in URL-safe base64.
_FORM = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewViewLink:
    """Wanted link: to one camera or, with None, to all; `user` is the name of its maker."""

    camera: CameraId | None
    user: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LinkPaths:
    """Paths below the agent's address that a link opens, with its secret."""

    live: str
    snapshot: str

    @classmethod
    def of(cls, camera: CameraId | None, secret: str) -> "LinkPaths":
        """Return the paths of a link to `camera`; with None, `{device}` stands for a camera's id."""
        below = f"/cameras/{camera or _ANY_CAMERA}"
        return cls(f"{below}/live.mjpeg?view={secret}", f"{below}/snapshot.jpg?view={secret}")


class ViewLink(BaseModel):
    """Stored form of a link. A plain `sha256` suffices as the hash: the link has 256 random bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: str | None
    user: str
    sha256: str
    created_at: UtcMoment
    expires_at: UtcMoment

    @property
    def id(self) -> str:
        """The link's public name: a part of its hash, which reveals nothing of the link."""
        return self.sha256[:_ID_CHARS]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    links: tuple[ViewLink, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """Links by their hash, for quick checks."""

    by_hash: Mapping[str, ViewLink] = field(default_factory=dict)

    @classmethod
    def of(cls, links: tuple[ViewLink, ...]) -> "_Known":
        return cls({each.sha256: each for each in links})


class ViewLinks(CredentialFile[_Known]):
    """Links in one file, read again when it has changed, so that revoking one needs no restart.

    Like the file of API keys it has no backup, which could restore a link. While it is unusable, no link is valid.
    """

    def __init__(self, path: Path, clock: Clock, *, require: Callable[[], None] = no_check) -> None:
        """Keep the arguments; nothing is read yet. `require` is that of `StoredView`."""
        self._clock = clock
        super().__init__(
            StoredView(
                path,
                lambda content: _Known.of(parsed(_File, content, path.name).links),
                missing=_Known(),
                unusable=_Known(),
                consequence="no view link is valid",
                require=require,
            )
        )

    def create(self, wanted: NewViewLink) -> tuple[str, ViewLink]:
        """Store a link; return its secret, which is possible only once, and its stored form. Blocks on the disk.

        Links that have ended make room for new ones only when there are `MOST_VIEW_LINKS`: on a device whose clock is
        wrong for a while, they may not have ended.

        Raises:
            InvalidState: there are `MOST_VIEW_LINKS`.
            StateCorrupt: the file is not a file of view links; it is left unchanged.
            StorageFailed: the file could not be read or written.
        """
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        made = ViewLink(
            camera=wanted.camera,
            user=wanted.user,
            sha256=_hash(secret),
            created_at=now,
            expires_at=wanted.expires_at,
        )
        with self._view.changing(_LINKS):
            kept = self.stored()
            if len(kept) >= MOST_VIEW_LINKS:
                kept = tuple(each for each in kept if each.expires_at > now)
            if len(kept) >= MOST_VIEW_LINKS:
                raise InvalidState(
                    f"There are {MOST_VIEW_LINKS} view links, the limit.",
                    state="full",
                    allowed_states=("not_full",),
                    suggestion="Revoke links that are no longer needed: list_view_links, revoke_view_link.",
                )
            self._store((*kept, made))
        return secret, made

    def revoke(self, link_id: str) -> ViewLink:
        """Delete a link by its id and return it. Raises NotFound, StateCorrupt, StorageFailed. Blocks on the disk."""
        with self._view.changing(_LINKS):
            links = self.stored()
            found = next((each for each in links if each.id == link_id), None)
            if found is None:
                raise NotFound("There is no view link with this id.", resource="view_link", id=link_id)
            self._store(tuple(each for each in links if each is not found))
        return found

    def verify(self, secret: str, camera: str) -> ViewLink:
        """Return the link of `secret`, by what `refresh` has read last.

        Raises:
            AuthenticationFailed: `link_invalid`: it is unknown, has ended, or is for another camera.
        """
        found = self._view.value.by_hash.get(_hash(secret)) if _FORM.fullmatch(secret) else None
        if found is None or found.expires_at <= self._clock.now() or found.camera not in (None, camera):
            raise AuthenticationFailed(
                "This view link is invalid or has expired.",
                reason="link_invalid",
                suggestion="Make a new one with create_view_link.",
            )
        return found

    def is_current(self, link: ViewLink) -> bool:
        """Return True if the link is still in the file, unchanged; ignores its end."""
        return self._view.value.by_hash.get(link.sha256) == link

    def stored(self) -> tuple[ViewLink, ...]:
        """Read the stored links, ended ones included. Blocks on the disk.

        Raises:
            StateCorrupt: the file is not a file of view links.
            StorageFailed: the file cannot be read.
        """
        return self._view.stored(
            _File, _LINKS, suggestion="Restore it from a copy, or delete it and make new links."
        ).links

    def _store(self, links: tuple[ViewLink, ...]) -> None:
        self._view.replace(_File(links=links).model_dump_json(indent=1).encode() + b"\n", _LINKS)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
