"""Methods about keys.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.keys import KeyCreated, KeyList, KeyRevoked

__all__ = ("KeysMethods", "SyncKeysMethods")


class KeysMethods(Invokes):
    async def list_api_keys(self) -> "KeyList":
        """List the API keys, and the keys that sign calls, without the keys themselves."""
        from agent_core.client.results.keys import KeyList

        return await self._invoke(KeyList, "list_api_keys", {})

    async def revoke_api_key(self, id: str) -> "KeyRevoked":
        """Revoke a key; its connections and downloads end within a second.

        Args:
            id: id of a key, as returned by list_api_keys
        """
        from agent_core.client.results.keys import KeyRevoked

        return await self._invoke(KeyRevoked, "revoke_api_key", given(id=id))

    async def create_api_key(
        self,
        role: Literal["viewer", "operator", "admin"],
        user: str,
        *,
        kind: Literal["api", "mqtt"] | None = None,
        expires_at: datetime | None = None,
    ) -> "KeyCreated":
        """Create a key for a user.

        Args:
            user: name of the user; one key per user and kind
            kind: `api`: presented by clients; `mqtt`: signs calls through a broker, and is never sent; default 'api'
            expires_at: end of the key; default: no end
        """
        from agent_core.client.results.keys import KeyCreated

        return await self._invoke(
            KeyCreated, "create_api_key", given(role=role, user=user, kind=kind, expires_at=expires_at)
        )


class SyncKeysMethods(InvokesInThread):
    def list_api_keys(self) -> "KeyList":
        """List the API keys, and the keys that sign calls, without the keys themselves."""
        from agent_core.client.results.keys import KeyList

        return self._invoke(KeyList, "list_api_keys", {})

    def revoke_api_key(self, id: str) -> "KeyRevoked":
        """Revoke a key; its connections and downloads end within a second.

        Args:
            id: id of a key, as returned by list_api_keys
        """
        from agent_core.client.results.keys import KeyRevoked

        return self._invoke(KeyRevoked, "revoke_api_key", given(id=id))

    def create_api_key(
        self,
        role: Literal["viewer", "operator", "admin"],
        user: str,
        *,
        kind: Literal["api", "mqtt"] | None = None,
        expires_at: datetime | None = None,
    ) -> "KeyCreated":
        """Create a key for a user.

        Args:
            user: name of the user; one key per user and kind
            kind: `api`: presented by clients; `mqtt`: signs calls through a broker, and is never sent; default 'api'
            expires_at: end of the key; default: no end
        """
        from agent_core.client.results.keys import KeyCreated

        return self._invoke(
            KeyCreated, "create_api_key", given(role=role, user=user, kind=kind, expires_at=expires_at)
        )
