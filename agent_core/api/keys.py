"""Methods about API keys. Keys are created on the host, unless the configuration allows it over the network."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from agent_core.api.schema.params import NoParams, Timestamp
from agent_core.auth.api_keys import ApiKey, ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound
from agent_core.base.moments import UtcMoment
from agent_core.base.workers import WorkerPool
from agent_core.plugin.abc import RpcParams, RpcResult
from agent_core.rpc.table import Caller, Method

__all__ = ("key_methods",)

#: Printable on one line: users' names appear in lists and logs.
_UserName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class KeyParams(RpcParams):
    id: str = Field(min_length=1, max_length=100, description="id of a key, as returned by list_api_keys")


class CreateKeyParams(RpcParams):
    role: Role
    user: _UserName = Field(description="name of the user; one key per user")
    expires_at: UtcMoment | None = Field(None, description="end of the key; default: no end")


class KeyEntry(RpcResult):
    id: str
    user: str
    role: Role
    created_at: Timestamp
    expires_at: Timestamp | None = Field(description="null if the key does not expire")


class KeyList(RpcResult):
    keys: list[KeyEntry]
    total: int


class KeyRevoked(RpcResult):
    id: str
    user: str
    revoked: Literal[True]


class KeyCreated(KeyEntry):
    key: str = Field(description="the key itself; shown only here")


def key_methods(
    keys: ApiKeys, changing: Callable[[], AbstractAsyncContextManager[None]], *, over_network: bool
) -> list[Method]:
    """Return the rows of the method table.

    Args:
        keys: the API keys.
        changing: ends what a change in it revokes; see `CredentialFiles.changing`.
        over_network: add the method that creates keys.
    """
    threads = WorkerPool(1)

    async def list_keys(_params: NoParams, _caller: Caller) -> KeyList:
        stored = await threads.run_abandonable(keys.stored)
        return KeyList(keys=[_entry(each) for each in stored], total=len(stored))

    async def revoke(params: KeyParams, _caller: Caller) -> KeyRevoked:
        async with changing():
            revoked = await threads.run(keys.revoke_id, params.id)
        return KeyRevoked(id=revoked.id, user=revoked.user_id, revoked=True)

    methods = [
        Method(
            "list_api_keys",
            Role.ADMIN,
            "List the API keys without the keys themselves, which are not stored.",
            NoParams,
            KeyList,
            list_keys,
            errors=(DependencyFailed,),
            omit_none=False,
        ),
        Method(
            "revoke_api_key",
            Role.ADMIN,
            "Revoke an API key; its connections and downloads end within a second.",
            KeyParams,
            KeyRevoked,
            revoke,
            errors=(NotFound, DependencyFailed),
        ),
    ]
    return [*methods, _create_method(keys, threads)] if over_network else methods


def _create_method(keys: ApiKeys, threads: WorkerPool) -> Method:
    async def create(params: CreateKeyParams, _caller: Caller) -> KeyCreated:
        made = partial(keys.create, params.user, params.role, expires_at=params.expires_at)
        key = await threads.run(made)
        stored = next(each for each in await threads.run(keys.stored) if each.user_id == params.user)
        return KeyCreated(key=key, **_entry(stored).model_dump())

    return Method(
        "create_api_key",
        Role.ADMIN,
        "Create an API key for a user.",
        CreateKeyParams,
        KeyCreated,
        create,
        errors=(InvalidState, DependencyFailed),
        omit_none=False,
    )


def _entry(key: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=key.id, user=key.user_id, role=key.role, created_at=key.created_at, expires_at=key.expires_at
    )
