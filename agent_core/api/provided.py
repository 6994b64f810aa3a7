"""Checks of the methods and topics that plugins add to the wire."""

import re
from collections.abc import Iterable
from typing import Any

from agent_core.api.placeholders import CONTRACT_METHODS
from agent_core.auth.roles import Role
from agent_core.base.errors import AgentError, PluginError
from agent_core.plugin.abc import RpcMethod, RpcParams, RpcResult
from agent_core.plugin_host.models import Providers
from agent_core.rpc.topics import CORE_TOPICS

__all__ = ("check_provided",)

_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
#: Prefixes of the core's methods and topics, which a plugin of that name could claim.
_RESERVED = frozenset({"rpc", *(topic.name.partition(".")[0] for topic in CORE_TOPICS if "." in topic.name)})


def check_provided(providers: Providers) -> None:
    """Check all methods and topics of a plugin, before any is registered.

    Raises:
        PluginError: a name, role, type or topic is unusable; none of the plugin may be registered then.
    """
    plugin = providers.plugin
    if plugin in _RESERVED and (providers.methods or providers.topics):
        raise PluginError(
            f"The plugin name '{plugin}' is a prefix of the agent's own methods and topics.",
            reason="reserved_name",
            suggestion="Rename the plugin.",
        )
    _check_unique(plugin, "method", [_method_name(plugin, each) for each in providers.methods])
    for method in providers.methods:
        _check_method(plugin, method)
    _check_unique(plugin, "topic", providers.topics)
    for topic in providers.topics:
        if not _is_own(plugin, topic):
            raise PluginError(
                f"The plugin {plugin} cannot register the topic {topic!r}.",
                reason="topic_refused",
                suggestion=f"Name it {plugin}.<word>, in lower case.",
            )


def _is_own(plugin: str, name: str) -> bool:
    prefix, _, word = name.partition(".")
    return prefix == plugin and _WORD.fullmatch(word) is not None


def _check_unique(plugin: str, kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PluginError(f"The plugin {plugin} registers the {kind} {name} twice.", reason="name_clash")
        seen.add(name)


def _method_name(plugin: str, method: RpcMethod[Any]) -> str:
    name: object = getattr(method, "name", None)
    if isinstance(name, str):
        return name
    raise PluginError(
        f"The method {type(method).__name__} of the plugin {plugin} has no name.",
        reason="foreign_method_name",
        suggestion=f'Give it the class attribute name = "{plugin}.<word>".',
    )


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, AgentError)


def _check_method(plugin: str, method: RpcMethod[Any]) -> None:
    name = method.name
    if not _is_own(plugin, name) and CONTRACT_METHODS.get(name) != plugin:
        raise PluginError(
            f"The plugin {plugin} cannot register the method {name!r}.",
            reason="foreign_method_name",
            suggestion=f"Name it {plugin}.<word>, in lower case.",
        )
    if getattr(method, "role", None) not in tuple(Role):
        raise PluginError(
            f"The method {name} of the plugin {plugin} has an unknown role.",
            reason="unknown_role",
            suggestion=f"Use one of {', '.join(Role)}.",
        )
    if not isinstance(getattr(method, "summary", None), str):
        raise PluginError(
            f"The method {name} of the plugin {plugin} has no summary.",
            reason="no_summary",
            suggestion="Give it the class attribute summary, one sentence.",
        )
    errors: object = getattr(method, "errors", None)
    if not (isinstance(errors, tuple) and all(map(_is_error, errors))):
        raise PluginError(
            f"errors of the method {name} of the plugin {plugin} is not a tuple of subclasses of AgentError.",
            reason="wrong_type",
        )
    for attribute, base in (("Params", RpcParams), ("Result", RpcResult)):
        kind: object = getattr(method, attribute, None)
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise PluginError(
                f"{attribute} of the method {name} of the plugin {plugin} is not a subclass of {base.__name__}.",
                reason="wrong_type",
            )
