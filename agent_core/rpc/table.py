"""Table of methods, each with its role, types and handler."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter

from agent_core.auth.roles import Principal, Role
from agent_core.base.containment import contained
from agent_core.base.errors import (
    AgentError,
    AuthenticationFailed,
    InvalidParams,
    PermissionDenied,
    PluginError,
    RateLimited,
)
from agent_core.plugin.abc import MethodExample, RpcMethod
from agent_core.rpc.errors import (
    INTERNAL_ERROR,
    MethodNotFound,
    WireCode,
    only_agent_error,
    wire_code,
    without_device_paths,
)
from agent_core.rpc.params import Parameters, nearest
from agent_core.rpc.session_state import SessionState

__all__ = ("Caller", "Method", "MethodTable", "SerializedResult")

_LOG = logging.getLogger("camera_agent.rpc")

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, slots=True)
class SerializedResult(Generic[ModelT]):
    """Serialized instance of `model`, which a handler may return instead of an instance.

    Accepted only if `model` is the method's declared result, so that the schema holds for the text.
    """

    model: type[ModelT]
    text: str


P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a method. `principal` is None before `authenticate`."""

    session: SessionState
    principal: Principal | None
    request_id: str

    @property
    def user(self) -> Principal:
        """The authenticated caller. Raises AuthenticationFailed before `authenticate`."""
        if self.principal is None:
            raise AuthenticationFailed("This call needs an authenticated connection.")
        return self.principal

    def require(self, role: Role | None) -> None:
        """Check that the caller has `role` or a higher one; None needs no authentication.

        Raises:
            AuthenticationFailed, PermissionDenied: the caller does not.
        """
        if role is not None:
            self.user.role.require(role)


@dataclass(frozen=True)
class Method:
    """Method with its role, types and handler.

    Args:
        name: the wire name.
        role: the lowest role that may call it; None if it needs no authentication.
        summary: one sentence for `rpc.discover`.
        Params: the model that validates the params; unknown names are refused if it forbids extras.
        Result: any type that pydantic can serialize; the handler must return an instance, or `SerializedResult` of it.
        handler: `async (params, caller) -> result`, cancelled when the connection closes. The caller gets its
            `AgentError`s; any other error is a bug.
        errors: error classes that the handler raises, for `rpc.discover`, beyond those that any method can raise. Another
            one reaches the client all the same, and is logged as a bug.
        omit_none: leave members that are None out of the result.
        provided_by: the plugin that implements the method, if the contract assigns it to one.
        prompt: the handler awaits nothing, or what the calls behind it depend on. The session answers such a call
            before it reads on, which saves a task switch, and delays the calls behind it.
        example: returns a call with its result for `rpc.discover`; it is called when the document is made, so that the
            start builds no models for it. Only a placeholder has none.
        deprecated: another method should be used; see the policy in docs/api.md.
    """

    name: str
    role: Role | None
    summary: str
    Params: type[BaseModel]
    Result: Any
    handler: Callable[[Any, Caller], Awaitable[object]]
    errors: tuple[type[AgentError], ...] = ()
    omit_none: bool = True
    provided_by: str | None = None
    prompt: bool = False
    example: Callable[[], MethodExample | None] | None = None
    deprecated: bool = False

    @cached_property
    def parameters(self) -> Parameters[Any]:
        return Parameters(self.Params)

    @cached_property
    def result_type(self) -> TypeAdapter[object]:
        return TypeAdapter(self.Result)

    @cached_property
    def codes(self) -> tuple[WireCode, ...]:
        """Codes of the errors that a call can end with: those of any call, of a protected method, and its own."""
        always: tuple[type[AgentError], ...] = (InvalidParams, RateLimited)
        guarded: tuple[type[AgentError], ...] = (AuthenticationFailed, PermissionDenied) if self.role else ()
        named = (wire_code(kind) for kind in (*always, *guarded, *self.errors))
        return tuple(dict.fromkeys((*(code for code in named if code), INTERNAL_ERROR)))

    async def call(self, params: Mapping[str, object] | Sequence[object], caller: Caller) -> str:
        """Return the result as JSON. Raises the errors of the check, the parameters and the handler."""
        caller.require(self.role)
        checked = self.parameters.validate(params)
        try:
            result = await self.handler(checked, caller)
        except Exception as error:
            self._log_undeclared(error)
            raise
        return without_device_paths(self._as_json(result), call=params)

    def result_value(self, result: object) -> JsonValue:
        """Return a result as clients get it, parsed. Raises as `call` for an undeclared type."""
        value: JsonValue = json.loads(self._as_json(result))
        return value

    def _log_undeclared(self, error: Exception) -> None:
        """Log an error whose code `rpc.discover` does not declare: generated clients do not expect it."""
        known = only_agent_error(error)
        code = wire_code(type(known)) if known is not None else None
        if code is not None and code not in self.codes:
            _LOG.error("%s raised an error that it does not declare: %s (%s)", self.name, code.message, known)

    def _as_json(self, result: object) -> str:
        """Return the result as JSON. Raises TypeError or a pydantic error, both bugs, for an undeclared type."""
        if isinstance(result, SerializedResult):
            if result.model != self.Result:
                raise TypeError(f"{self.name} is not declared to return {result.model.__name__}")
            return result.text
        dumped = self.result_type.dump_json(
            result, by_alias=True, exclude_none=self.omit_none, warnings="error"
        )
        return dumped.decode()


class MethodTable:
    """Registry of methods by name. Filled while the agent starts, read-only afterwards."""

    def __init__(self, methods: Iterable[Method] = ()) -> None:
        self._methods: dict[str, Method] = {}
        for method in methods:
            self.add(method)

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    def __len__(self) -> int:
        return len(self._methods)

    def __contains__(self, name: str) -> bool:
        return name in self._methods

    def add(self, method: Method) -> None:
        """Add a method of the core. Raises ValueError if the name is taken, which is a bug."""
        if method.name in self._methods:
            raise ValueError(f"a method {method.name} already exists")
        self._methods[method.name] = method

    def is_public(self, name: str) -> bool:
        """Return True if `name` is a method that needs no authentication."""
        method = self._methods.get(name)
        return method is not None and method.role is None

    def role_of(self, name: str) -> Role | None:
        """Return the role that `name` needs; None for a public or a missing method."""
        method = self._methods.get(name)
        return None if method is None else method.role

    def is_prompt(self, name: str) -> bool:
        """Return True if a call of `name` is answered without waiting; so is that of a missing method."""
        method = self._methods.get(name)
        return method is None or method.prompt

    def add_plugin_methods(self, plugin: str, methods: Iterable[RpcMethod[Any]]) -> None:
        """Add the methods of a plugin; on an error add none.

        Raises:
            PluginError: a name outside the plugin's prefix, a name that exists, or an unknown role.
        """
        rows = {each.name: _plugin_row(plugin, each) for each in methods}
        for name in rows:
            self._check_plugin_name(plugin, name)
        self._methods |= rows

    async def call(self, name: str, params: Mapping[str, object] | Sequence[object], caller: Caller) -> str:
        """Call the method `name` and return its result as JSON; see `Method.call`."""
        method = self._methods.get(name)
        if method is None:
            hint = nearest(name, tuple(self._methods), otherwise="rpc.discover lists all methods.")
            raise MethodNotFound(f"This agent does not provide {name[:100]!r}.", hint=hint)
        return await method.call(params, caller)

    def _check_plugin_name(self, plugin: str, name: str) -> None:
        existing = self._methods.get(name)
        if existing is not None and existing.provided_by != plugin:
            raise PluginError(
                f"The method {name} of the plugin {plugin} already exists.", reason="name_clash"
            )
        if existing is None and not name.startswith(f"{plugin}."):
            raise PluginError(
                f"The method {name} of the plugin {plugin} does not start with the plugin's name.",
                reason="foreign_method_name",
                suggestion=f"Name it {plugin}.{name.rpartition('.')[2]}.",
            )


def _plugin_row(plugin: str, method: RpcMethod[Any]) -> Method:
    try:
        role = Role(method.role)
    except ValueError as error:
        raise PluginError(
            f"The method {method.name} of the plugin {plugin} has an unknown role.",
            reason="unknown_role",
            suggestion=f"Use one of {', '.join(Role)}.",
        ) from error

    async def answer(params: Any, _caller: Caller) -> object:
        with contained(f"The method {method.name} of the plugin {plugin}"):
            result: object = await method.call(params)
        if not isinstance(result, method.Result):
            raise TypeError(
                f"The method {method.name} of the plugin {plugin} returned {type(result).__name__} "
                f"instead of {method.Result.__name__}"
            )
        return result

    return Method(
        method.name,
        role,
        method.summary,
        method.Params,
        method.Result,
        answer,
        errors=tuple(method.errors),
        provided_by=plugin,
        example=lambda: _plugin_example(plugin, method),
        deprecated=method.deprecated,
    )


def _plugin_example(plugin: str, method: RpcMethod[Any]) -> MethodExample | None:
    """Return the example of a plugin's method; None if there is none, or it is unusable, which is logged."""
    try:
        with contained(f"The example of {method.name} of the plugin {plugin}"):
            example = method.example()
        if example is not None and not (
            isinstance(example.params, method.Params) and isinstance(example.result, method.Result)
        ):
            raise TypeError("the types of the example are not those of the method")
    except Exception:  # noqa: BLE001 - foreign code; its example is left out
        _LOG.exception("the plugin %s gives no usable example of %s", plugin, method.name)
        return None
    return example
