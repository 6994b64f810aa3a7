"""Methods about views.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from typing import TYPE_CHECKING

from agent_core.client.typed import Invokes, InvokesInThread, given

if TYPE_CHECKING:
    from agent_core.client.results.views import ViewLinkCreated, ViewLinkList, ViewLinkRevoked

__all__ = ("SyncViewsMethods", "ViewsMethods")


class ViewsMethods(Invokes):
    async def create_view_link(
        self, *, device: str | None = None, lifetime_s: int | None = None
    ) -> "ViewLinkCreated":
        """Make a link that shows one camera, or all, to pages of other origins; it can do nothing else.

        Args:
            device: camera that the link shows, such as camera0; default: all
            lifetime_s: time in seconds until the link ends; default 2592000
        """
        from agent_core.client.results.views import ViewLinkCreated

        return await self._invoke(
            ViewLinkCreated, "create_view_link", given(device=device, lifetime_s=lifetime_s)
        )

    async def list_view_links(self) -> "ViewLinkList":
        """List the view links without their secrets, which are not stored."""
        from agent_core.client.results.views import ViewLinkList

        return await self._invoke(ViewLinkList, "list_view_links", {})

    async def revoke_view_link(self, id: str) -> "ViewLinkRevoked":
        """Revoke a view link; the views that it shows end within a second.

        Args:
            id: id of a link, as returned by list_view_links
        """
        from agent_core.client.results.views import ViewLinkRevoked

        return await self._invoke(ViewLinkRevoked, "revoke_view_link", given(id=id))


class SyncViewsMethods(InvokesInThread):
    def create_view_link(
        self, *, device: str | None = None, lifetime_s: int | None = None
    ) -> "ViewLinkCreated":
        """Make a link that shows one camera, or all, to pages of other origins; it can do nothing else.

        Args:
            device: camera that the link shows, such as camera0; default: all
            lifetime_s: time in seconds until the link ends; default 2592000
        """
        from agent_core.client.results.views import ViewLinkCreated

        return self._invoke(ViewLinkCreated, "create_view_link", given(device=device, lifetime_s=lifetime_s))

    def list_view_links(self) -> "ViewLinkList":
        """List the view links without their secrets, which are not stored."""
        from agent_core.client.results.views import ViewLinkList

        return self._invoke(ViewLinkList, "list_view_links", {})

    def revoke_view_link(self, id: str) -> "ViewLinkRevoked":
        """Revoke a view link; the views that it shows end within a second.

        Args:
            id: id of a link, as returned by list_view_links
        """
        from agent_core.client.results.views import ViewLinkRevoked

        return self._invoke(ViewLinkRevoked, "revoke_view_link", given(id=id))
