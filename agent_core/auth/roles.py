"""Roles and authenticated users."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent_core.base.errors import PermissionDenied

__all__ = ("Principal", "Role")


class Role(StrEnum):
    """Role of a user; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def permissions(self) -> tuple[str, ...]:
        """The permissions of this role, in the terms of the wire."""
        return ("view", "control", "admin")[: _ORDER.index(self) + 1]

    def require(self, needed: "Role") -> None:
        """Check that this role includes `needed`.

        Raises:
            PermissionDenied: it does not.
        """
        if _ORDER.index(self) < _ORDER.index(needed):
            raise PermissionDenied(
                f"This call needs the role {needed}; your role is {self}.",
                required_role=needed,
                have_role=self,
            )


_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True)
class Principal:
    """Authenticated user.

    Attributes:
        user_id: the user's name.
        role: the user's role.
        expires_at: the end of the credentials; None if they do not expire.
        credential: identifies the credentials, for `Authenticator.is_current`; not secret.
        has_links: results and events for the user contain download links.
    """

    user_id: str
    role: Role
    expires_at: datetime | None
    credential: str
    has_links: bool = True
