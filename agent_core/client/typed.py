"""Typed results: the check of a reply against the form that this client expects, and what its method mixins build on."""

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from agent_core.client.errors import UnexpectedResult
from agent_core.client.protocol import JsonObject

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ("Invokes", "InvokesInThread", "ResultT", "given", "typed")

ResultT = TypeVar("ResultT")


class Invokes:
    """Base of the methods of `AgentClient`."""

    async def _invoke(self, form: type[ResultT], method: str, params: JsonObject) -> ResultT:
        raise NotImplementedError


class InvokesInThread:
    """Base of the methods of `SyncAgentClient`."""

    def _invoke(self, form: type[ResultT], method: str, params: JsonObject) -> ResultT:
        raise NotImplementedError


def given(**params: object) -> JsonObject:
    """Return the params that are not None: the agent's own default applies to the others."""
    return {name: value for name, value in params.items() if value is not None}


def typed(form: type[ResultT], result: object) -> ResultT:
    """Return `result`, plain JSON values, as an instance of `form`; members that it does not know are left out.

    Raises:
        UnexpectedResult: the result lacks a member, or one has another type.
    """
    from pydantic import ValidationError

    hashable: Any = form
    try:
        checked: ResultT = _adapter(hashable).validate_python(result)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnexpectedResult(
            f"The agent's result differs from this client's contract at {where or 'its top'}: {first['msg']}.",
            reason="unexpected_result",
        ) from error
    return checked


@cache
def _adapter(form: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(form)
