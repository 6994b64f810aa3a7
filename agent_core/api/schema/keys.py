"""Parameters and results of the methods about API keys."""

from typing import Annotated, Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.base.moments import UtcMoment
from agent_core.plugin import RpcParams, RpcResult

__all__ = ("CreateKeyParams", "KeyCreated", "KeyEntry", "KeyList", "KeyParams", "KeyRevoked")

#: Printable on one line: users' names appear in lists and logs.
_UserName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class KeyParams(RpcParams):
    id: str = Field(min_length=1, max_length=100, description="id of a key, as returned by list_api_keys")


class CreateKeyParams(RpcParams):
    role: Role
    user: _UserName = Field(description="name of the user; one key per user and kind")
    kind: KeyKind = Field(
        KeyKind.API,
        description="`api`: presented by clients; `mqtt`: signs calls through a broker, and is never sent",
    )
    expires_at: UtcMoment | None = Field(None, description="end of the key; default: no end")


class KeyEntry(RpcResult):
    id: str
    user: str
    kind: KeyKind
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
