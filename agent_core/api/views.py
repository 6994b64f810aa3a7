"""Methods about view links, with which pages of other origins show cameras."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

from agent_core.api.examples import views as examples
from agent_core.api.schema.params import NoParams
from agent_core.api.schema.views import (
    CreateViewLinkParams,
    ViewLinkCreated,
    ViewLinkEntry,
    ViewLinkList,
    ViewLinkParams,
    ViewLinkRevoked,
)
from agent_core.auth.roles import Role
from agent_core.auth.view_links import LinkPaths, NewViewLink, ViewLink, ViewLinks
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound
from agent_core.base.workers import WorkerPool
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method

__all__ = ("view_link_methods",)


def view_link_methods(
    controller: Controller, links: ViewLinks, changing: Callable[[], AbstractAsyncContextManager[None]]
) -> list[Method]:
    """Return the rows of the method table; `changing` is `CredentialFiles.changing`, which ends what is revoked."""
    handlers = _Handlers(controller, links, changing, WorkerPool(1))
    return [
        Method(
            "create_view_link",
            Role.OPERATOR,
            "Make a link that shows one camera, or all, to pages of other origins; it can do nothing else.",
            CreateViewLinkParams,
            ViewLinkCreated,
            handlers.create,
            errors=(NotFound, InvalidState, DependencyFailed),
            omit_none=False,
            example=examples.create_view_link,
        ),
        Method(
            "list_view_links",
            Role.ADMIN,
            "List the view links without their secrets, which are not stored.",
            NoParams,
            ViewLinkList,
            handlers.list,
            errors=(DependencyFailed,),
            omit_none=False,
            example=examples.list_view_links,
        ),
        Method(
            "revoke_view_link",
            Role.ADMIN,
            "Revoke a view link; the views that it shows end within a second.",
            ViewLinkParams,
            ViewLinkRevoked,
            handlers.revoke,
            errors=(NotFound, DependencyFailed),
            example=examples.revoke_view_link,
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about view links."""

    controller: Controller
    links: ViewLinks
    changing: Callable[[], AbstractAsyncContextManager[None]]
    threads: WorkerPool

    async def create(self, params: CreateViewLinkParams, caller: Caller) -> ViewLinkCreated:
        camera = None if params.device is None else self.controller.camera(params.device).camera.id
        end = self.controller.now() + timedelta(seconds=params.lifetime_s)
        async with self.changing():
            secret, made = await self.threads.run(
                self.links.create, NewViewLink(camera, caller.user.user_id, end)
            )
        paths = LinkPaths.of(camera, secret)
        return ViewLinkCreated(**_entry(made).model_dump(), url=paths.live, snapshot_url=paths.snapshot)

    async def list(self, _params: NoParams, _caller: Caller) -> ViewLinkList:
        stored = await self.threads.run_abandonable(self.links.stored)
        return ViewLinkList(links=[_entry(each) for each in stored], total=len(stored))

    async def revoke(self, params: ViewLinkParams, _caller: Caller) -> ViewLinkRevoked:
        async with self.changing():
            revoked = await self.threads.run(self.links.revoke, params.id)
        return ViewLinkRevoked(id=revoked.id, revoked=True)


def _entry(link: ViewLink) -> ViewLinkEntry:
    return ViewLinkEntry(
        id=link.id,
        device=link.camera,
        user=link.user,
        created_at=link.created_at,
        expires_at=link.expires_at,
    )
