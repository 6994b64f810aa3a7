"""Users that the agent makes for its own parts, such as plugins that call its methods."""

import secrets

from agent_core.auth.roles import Principal, Role

__all__ = ("OwnPrincipals",)


class OwnPrincipals:
    """Registry of the agent's own users. They are valid until the agent ends, and cannot be revoked.

    Their credentials are made here and kept in memory only. They are names, not secrets: no client can authenticate with
    one. They get no download links, because plugins pass results on to readers that the agent does not know.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, Role], Principal] = {}
        self._credentials: set[str] = set()

    def of(self, name: str, role: Role) -> Principal:
        """Return the user `name` with `role`, always the same one."""
        made = self._made.get((name, role))
        if made is None:
            credential = f"own:{name}.{role}.{secrets.token_hex(16)}"
            made = self._made[name, role] = Principal(name, role, None, credential, has_links=False)
            self._credentials.add(credential)
        return made

    def is_current(self, credential: str) -> bool:
        """Return True for the credential of a user that was made here."""
        return credential in self._credentials
