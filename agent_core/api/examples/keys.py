"""Examples of the methods about API keys. Apart from the methods, so that their rows stay short to read."""

from agent_core.api.examples.story import TAKEN_AT
from agent_core.api.schema import keys as wire
from agent_core.api.schema.params import NoParams
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.plugin import MethodExample

__all__ = ("create_api_key", "list_api_keys", "revoke_api_key")

_ID, _USER = "81c40a7dffd780d6", "dashboard"


def create_api_key() -> MethodExample:
    """Use a word for the key: nothing that looks like one may be in a document."""
    created = wire.KeyCreated(
        id=_ID,
        user=_USER,
        kind=KeyKind.API,
        role=Role.VIEWER,
        created_at=TAKEN_AT,
        expires_at=None,
        key="ck_KEY",
    )
    return MethodExample(wire.CreateKeyParams(role=Role.VIEWER, user=_USER), created)


def list_api_keys() -> MethodExample:
    entry = wire.KeyEntry(
        id=_ID, user=_USER, kind=KeyKind.API, role=Role.VIEWER, created_at=TAKEN_AT, expires_at=None
    )
    return MethodExample(NoParams(), wire.KeyList(keys=[entry], total=1), after=("create_api_key",))


def revoke_api_key() -> MethodExample:
    revoked = wire.KeyRevoked(id=_ID, user=_USER, revoked=True)
    return MethodExample(wire.KeyParams(id=_ID), revoked, after=("create_api_key",))
