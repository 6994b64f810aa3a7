"""Roles, and the caller that has one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent_core.base.errors import PermissionDenied

__all__ = ("Principal", "Role")


class Role(StrEnum):
    """Hierarchical, weakest first."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def permissions(self) -> tuple[str, ...]:
        """The wire's words for what this role may do."""
        return ("view", "control", "admin")[: _ORDER.index(self) + 1]

    def require(self, needed: "Role") -> None:
        """Do nothing if this role covers `needed`.

        Raises:
            PermissionDenied: it does not.
        """
        if _ORDER.index(self) < _ORDER.index(needed):
            raise PermissionDenied(
                f"This needs the role {needed}, and yours is {self}.", required_role=needed, have_role=self
            )


_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user. `expires_at` is None where the credentials have no end."""

    user_id: str
    role: Role
    expires_at: datetime | None
