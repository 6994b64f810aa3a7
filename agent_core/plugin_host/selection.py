"""Selection: the class that is installed under a plugin's name, found by stevedore without importing any other."""

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
    "installed_version",
    "plugin_class",
    "select",
    "version_of",
)

ENTRY_POINT_GROUP = "camera_agent.plugins"


class EntryPointFinder(Protocol):
    """The seam of selection: the classes that are installed under `name`, with the version of their distribution."""

    def __call__(self, name: str) -> Sequence[tuple[object, str]]: ...


def installed(name: str) -> list[tuple[object, str]]:
    """Import what is installed under `name`. Raises whatever the import raises, `SystemExit` included."""
    failures: list[BaseException] = []

    def failed(_manager: object, _entry_point: EntryPoint, error: BaseException) -> None:
        failures.append(error)

    manager: NamedExtensionManager[object] = NamedExtensionManager(
        ENTRY_POINT_GROUP,
        [name],
        on_load_failure_callback=failed,
        on_missing_entrypoints_callback=lambda _names: None,  # the caller says it better
    )
    if failures:
        raise failures[0]
    versions = _versions(name) if manager.extensions else {}
    return [(each.plugin, versions.get(each.entry_point.value, "")) for each in manager.extensions]


def installed_version(name: str) -> str:
    """Return the version of the distribution that offers the plugin `name`; empty if none or several do."""
    versions = [*_versions(name).values()]
    return versions[0] if len(versions) == 1 else ""


def _versions(name: str) -> dict[str, str]:
    """Map the value of each entry point `name` to the version of its distribution.

    Stevedore's entry points come from its cache, which does not know their distributions.
    """
    found = entry_points(group=ENTRY_POINT_GROUP, name=name)
    return {each.value: version_of(each.dist) for each in found}


def version_of(dist: Distribution | None) -> str:
    """Return the version of an installed distribution; empty where its metadata are missing or damaged."""
    if dist is None:
        return ""
    try:
        version: str | None = dist.metadata["Version"]
    except (KeyError, TypeError, ValueError):  # Python versions differ in what they raise
        return ""
    return version or ""


def select(name: str, find: EntryPointFinder) -> tuple[object, str]:
    """Return what is installed under `name`, with its version. Raises PluginError."""
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
    install = f"Install the package camera-agent-{name.replace('_', '-')}, or take the name out."
    return PluginError(
        f"No plugin named '{name}' is installed.",
        reason="not_installed",
        suggestion=f"Did you mean '{near[0]}'? {install}" if near else install,
    )


def check_class(name: str, plugin: object) -> type[Plugin[Settings]]:
    """Return `plugin` if it is a plugin class that fits this agent. Raises PluginError."""
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginError(f"The entry point '{name}' is not a subclass of Plugin.", reason="not_a_plugin")
    try:
        compatible = HOOKSPEC_API in SpecifierSet(plugin.hookspec_api)
    except InvalidSpecifier:
        compatible = False
    if not compatible:
        raise PluginError(
            f"The plugin '{name}' wants plugin API {plugin.hookspec_api}; this agent has {HOOKSPEC_API}.",
            reason="wrong_api_version",
            suggestion="Install a version of the plugin that fits this agent.",
        )
    for attribute, member in inspect.getmembers(plugin, callable):
        if hasattr(member, f"{spec.MARKER}_impl") and inspect.iscoroutinefunction(member):
            raise PluginError(
                f"The hook {attribute} of the plugin '{name}' is a coroutine; hooks return providers at once.",
                reason="coroutine_hook",
            )
    return plugin


def plugin_class(name: str, find: EntryPointFinder = installed) -> type[Plugin[Settings]]:
    """The class installed under `name`, for a look at its settings. Raises PluginError."""
    found, _ = select(name, find)
    return check_class(name, found)
