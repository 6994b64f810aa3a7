"""The methods that exist: each a row with its role, its types and the function that answers."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter

from agent_core.auth.roles import Principal, Role
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, AuthenticationFailed, PluginError
from agent_core.plugin.abc import RpcMethod
from agent_core.rpc.errors import MethodNotFound, without_device_paths
from agent_core.rpc.params import Parameters, nearest
from agent_core.rpc.session_state import SessionState

__all__ = ("Caller", "Method", "MethodTable", "Prepared")

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[ModelT]):
    """JSON of a valid `model`, made once and sent often, which a handler may return in its place.

    A method takes it only where `model` is its declared result, so the schema holds for what is sent.
    """

    model: type[ModelT]
    text: str


P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, as far as methods may know it. `principal` is None before `authenticate`."""

    session: SessionState
    principal: Principal | None
    request_id: str

    def require(self, role: Role | None) -> None:
        """Do nothing if the caller may call what needs `role`.

        Raises:
            AuthenticationFailed, PermissionDenied: it may not.
        """
        if role is None:
            return
        if self.principal is None:
            raise AuthenticationFailed("This needs an authenticated connection.")
        self.principal.role.require(role)


@dataclass(frozen=True)
class Method:
    """One method.

    Args:
        name: the wire name.
        role: the least role that may call it; None for everybody, also before `authenticate`.
        summary: one sentence for `rpc.discover`.
        Params: the model that validates the params; unknown names are refused where it forbids extras.
        Result: any type pydantic can serialise; what the handler returns must really be of it, or `Prepared` from it.
        handler: `async (params, caller) -> result`, cancelled when the connection closes. `AgentError`s are for the
            caller; anything else is a bug.
        errors: error classes worth naming in `rpc.discover`, beside those any method can raise.
        omit_none: whether members that are None are left out of the result.
        provided_by: for a method that the contract names and a plugin implements, that plugin.
        prompt: whether the handler awaits nothing. Then a connection answers it before it reads on, which saves
            changing tasks; a handler that did wait would hold up the calls behind it.
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

    @cached_property
    def parameters(self) -> Parameters[Any]:
        return Parameters(self.Params)

    @cached_property
    def result_type(self) -> TypeAdapter[object]:
        return TypeAdapter(self.Result)

    async def call(self, params: Mapping[str, object] | Sequence[object], caller: Caller) -> str:
        """The result as JSON. Raises what the caller or the handler did wrong."""
        caller.require(self.role)
        result = await self.handler(self.parameters.validate(params), caller)
        return without_device_paths(self._as_json(result))

    def _as_json(self, result: object) -> str:
        """A result of another type than declared is a bug that must not reach a client: TypeError or pydantic's own."""
        if isinstance(result, Prepared):
            if result.model != self.Result:
                raise TypeError(f"{self.name} does not answer with {result.model.__name__}")
            return result.text
        dumped = self.result_type.dump_json(
            result, by_alias=True, exclude_none=self.omit_none, warnings="error"
        )
        return dumped.decode()


class MethodTable:
    """All methods by name. Filled while the agent starts, only read afterwards."""

    def __init__(self, methods: Iterable[Method] = ()) -> None:
        self._methods: dict[str, Method] = {}
        for method in methods:
            self.add(method)

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    def __len__(self) -> int:
        return len(self._methods)

    def add(self, method: Method) -> None:
        """Raises ValueError for a name that is taken: the core's own methods clash only by mistake."""
        if method.name in self._methods:
            raise ValueError(f"there is a method {method.name} already")
        self._methods[method.name] = method

    def is_public(self, name: str) -> bool:
        """Return True if `name` is a method that needs no authentication."""
        method = self._methods.get(name)
        return method is not None and method.role is None

    def is_prompt(self, name: str) -> bool:
        """Return True if a call of `name` is answered without waiting, as for a method that does not exist."""
        method = self._methods.get(name)
        return method is None or method.prompt

    def add_plugin_methods(self, plugin: str, methods: Iterable[RpcMethod[Any]]) -> None:
        """Add what a plugin brings: all of it, or on an error nothing.

        Raises:
            PluginError: a name that is not the plugin's to use, a clash, an unknown role.
        """
        rows = {each.name: _plugin_row(plugin, each) for each in methods}
        for name in rows:
            self._check_plugin_name(plugin, name)
        self._methods |= rows

    async def call(self, name: str, params: Mapping[str, object] | Sequence[object], caller: Caller) -> str:
        """The result of the method `name` as JSON; see `Method.call`."""
        method = self._methods.get(name)
        if method is None:
            hint = nearest(name, tuple(self._methods), otherwise="rpc.discover lists what there is.")
            raise MethodNotFound(f"This agent offers no {name[:100]!r}.", hint=hint)
        return await method.call(params, caller)

    def _check_plugin_name(self, plugin: str, name: str) -> None:
        existing = self._methods.get(name)
        if existing is not None and existing.provided_by != plugin:
            raise PluginError(
                f"The plugin {plugin} brings a method {name}, which exists already.", reason="name_clash"
            )
        if existing is None and not name.startswith(f"{plugin}."):
            raise PluginError(
                f"The plugin {plugin} brings a method {name}, which is not its to name.",
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
        provided_by=plugin,
    )
