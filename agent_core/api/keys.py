"""Methods about API keys. Keys are created on the host, unless the configuration allows it over the network."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from agent_core.api.examples import keys as examples
from agent_core.api.schema.keys import CreateKeyParams, KeyCreated, KeyEntry, KeyList, KeyParams, KeyRevoked
from agent_core.api.schema.params import NoParams
from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import ApiKey
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound
from agent_core.base.workers import WorkerPool
from agent_core.rpc.table import Caller, Method

__all__ = ("key_methods",)


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
            "List the API keys, and the keys that sign calls, without the keys themselves.",
            NoParams,
            KeyList,
            list_keys,
            errors=(DependencyFailed,),
            omit_none=False,
            example=examples.list_api_keys,
        ),
        Method(
            "revoke_api_key",
            Role.ADMIN,
            "Revoke a key; its connections and downloads end within a second.",
            KeyParams,
            KeyRevoked,
            revoke,
            errors=(NotFound, DependencyFailed),
            example=examples.revoke_api_key,
        ),
    ]
    return [*methods, _create_method(keys, threads)] if over_network else methods


def _create_method(keys: ApiKeys, threads: WorkerPool) -> Method:
    async def create(params: CreateKeyParams, _caller: Caller) -> KeyCreated:
        wanted = NewKey(params.user, params.role, params.kind, params.expires_at)
        key, stored = await threads.run(keys.add, wanted)
        return KeyCreated(key=key, **_entry(stored).model_dump())

    return Method(
        "create_api_key",
        Role.ADMIN,
        "Create a key for a user.",
        CreateKeyParams,
        KeyCreated,
        create,
        errors=(InvalidState, DependencyFailed),
        omit_none=False,
        example=examples.create_api_key,
    )


def _entry(key: ApiKey) -> KeyEntry:
    return KeyEntry(
        id=key.id,
        user=key.user_id,
        kind=key.kind,
        role=key.role,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
