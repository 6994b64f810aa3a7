"""Selection of plugin classes: stevedore imports the one with a given name and no other."""

import difflib
import inspect
from collections.abc import Sequence
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from stevedore.named import NamedExtensionManager

from agent_core.base.containment import contained, describe
from agent_core.base.errors import PluginError
from agent_core.plugin import spec
from agent_core.plugin.abc import HOOKSPEC_API, Plugin, Settings

__all__ = (
    "ENTRY_POINT_GROUP",
    "EntryPointFinder",
    "check_class",
    "installed",
    "installed_versions",
    "plugin_class",
    "select",
    "version_of",
)

ENTRY_POINT_GROUP = "camera_agent.plugins"


class EntryPointFinder(Protocol):
    """Seam for tests: returns the classes installed as `name`."""

    def __call__(self, name: str) -> Sequence[object]: ...


def installed(name: str) -> list[object]:
    """Import the plugins installed as `name`. Raises any exception of the import, `SystemExit` included."""
    failures: list[BaseException] = []

    def failed(_manager: object, _entry_point: EntryPoint, error: BaseException) -> None:
        failures.append(error)

    manager: NamedExtensionManager[object] = NamedExtensionManager(
        ENTRY_POINT_GROUP,
        [name],
        on_load_failure_callback=failed,
        on_missing_entrypoints_callback=lambda _names: None,  # the caller reports it
    )
    if failures:
        raise failures[0]
    return [each.plugin for each in manager.extensions]


def installed_versions() -> dict[str, str]:
    """Map the name of each installed plugin to the version of its distribution; empty if several offer that name.

    Stevedore's entry points come from its cache, which does not know their distributions. The look-up reads the
    metadata of every distribution: make it once for all plugins.
    """
    found: dict[str, str] = {}
    for each in entry_points(group=ENTRY_POINT_GROUP):
        found[each.name] = "" if each.name in found else version_of(each.dist)
    return found


def version_of(dist: Distribution | None) -> str:
    """Return the version of an installed distribution; empty if its metadata are missing or damaged."""
    if dist is None:
        return ""
    try:
        version: str | None = dist.metadata["Version"]
    except (KeyError, TypeError, ValueError):  # depends on the Python version
        return ""
    return version or ""


def select(name: str, find: EntryPointFinder) -> object:
    """Return the object installed as `name`. Raises PluginError if there is not exactly one."""
    try:
        with contained(f"The import of the plugin '{name}'"):
            found = find(name)
    except Exception as error:
        raise PluginError(
            f"The plugin '{name}' failed at import: {describe(error.__cause__ or error)}.",
            reason="import_failed",
        ) from error
    if not found:
        raise _not_installed(name)
    if len(found) > 1:
        raise PluginError(
            f"{len(found)} installed packages offer a plugin named '{name}'.",
            reason="name_clash",
            suggestion="Uninstall all but one of them.",
        )
    return found[0]


def _not_installed(name: str) -> PluginError:
    names = {each.name for each in entry_points(group=ENTRY_POINT_GROUP)}
    near = difflib.get_close_matches(name, sorted(names), n=1)
    install = (
        f"Install the package camera-agent-{name.replace('_', '-')}, or remove the name from plugins.enabled."
    )
    return PluginError(
        f"No plugin named '{name}' is installed.",
        reason="not_installed",
        suggestion=f"Did you mean '{near[0]}'? {install}" if near else install,
    )


def check_class(name: str, plugin: object) -> type[Plugin[Settings]]:
    """Return `plugin` if it is a plugin class that this agent supports. Raises PluginError otherwise."""
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginError(f"The entry point '{name}' is not a subclass of Plugin.", reason="not_a_plugin")
    try:
        compatible = HOOKSPEC_API in SpecifierSet(plugin.hookspec_api)
    except InvalidSpecifier:
        compatible = False
    if not compatible:
        raise PluginError(
            f"The plugin '{name}' needs plugin API {plugin.hookspec_api}; this agent has {HOOKSPEC_API}.",
            reason="wrong_api_version",
            suggestion="Install a version of the plugin for this agent.",
        )
    for attribute, member in inspect.getmembers(plugin, callable):
        if hasattr(member, f"{spec.MARKER}_impl") and inspect.iscoroutinefunction(member):
            raise PluginError(
                f"The hook {attribute} of the plugin '{name}' is a coroutine; hooks must be synchronous.",
                reason="coroutine_hook",
            )
    return plugin


def plugin_class(name: str, find: EntryPointFinder = installed) -> type[Plugin[Settings]]:
    """Return the class installed as `name`, to inspect its settings. Raises PluginError."""
    return check_class(name, select(name, find))
