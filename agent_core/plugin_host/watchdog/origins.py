"""Origins of the enabled plugins: their versions, settings and files, found without importing them."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent_core.config import PluginsConfig
from agent_core.plugin_host.selection import ENTRY_POINT_GROUP, version_of

__all__ = ("PluginOrigin", "enabled_origins")


class PluginOrigin(BaseModel):
    """Origin of one enabled plugin.

    `settings` is a digest of its settings. `roots` are the folders or files of its module; `beside` are those of the
    other modules that its distribution installed.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    settings: str
    roots: tuple[str, ...]
    beside: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str, str]:
        """Key of a quarantine. A quarantine ends when the version or the settings change."""
        return self.name, self.version, self.settings

    def owns(self, file: str) -> bool:
        """Return whether `file`, named in a stack, is part of the plugin's module."""
        return _is_below(file, self.roots)

    def brought(self, file: str) -> bool:
        """Return whether `file` is part of another module that the plugin's distribution installed."""
        return _is_below(file, self.beside)


def _is_below(file: str, roots: Iterable[str]) -> bool:
    return any(file in (root, f"{root}.py") or file.startswith(f"{root}{os.sep}") for root in roots)


def enabled_origins(config: PluginsConfig) -> tuple[PluginOrigin, ...]:
    """Return the origins of the enabled plugins, in order. A plugin that is not installed has no roots."""
    installed = {each.name: each for each in entry_points(group=ENTRY_POINT_GROUP)}
    return tuple(_origin(name, installed.get(name), config.settings(name)) for name in config.enabled)


def _origin(name: str, entry: EntryPoint | None, settings: Mapping[str, object]) -> PluginOrigin:
    text = json.dumps(settings, sort_keys=True, default=str)
    return PluginOrigin(
        name=name,
        version=version_of(entry.dist) if entry is not None else "",
        settings=hashlib.sha256(text.encode()).hexdigest()[:16],
        roots=tuple(_roots(entry)) if entry is not None else (),
        beside=tuple(sorted(set(_beside(entry)))) if entry is not None else (),
    )


def _roots(entry: EntryPoint) -> Iterable[str]:
    """Yield the folders or the file of the entry point's module; nothing if there is no such module."""
    try:
        top, *rest = entry.module.split(".")
        spec = find_spec(top)  # imports nothing for a top-level name
    except (AttributeError, ImportError, ValueError):
        return
    if spec is not None and spec.submodule_search_locations is not None:
        inside = rest[:1] if spec.origin is None else []  # a namespace is shared with other packages
        yield from (str(Path(location, *inside)) for location in spec.submodule_search_locations)
    elif spec is not None and spec.origin is not None:
        yield spec.origin


def _beside(entry: EntryPoint) -> Iterable[str]:
    """Yield the modules and packages of the entry point's distribution, if its list of files is readable."""
    dist = entry.dist
    if dist is None:
        return
    # An interrupted installation may leave any content in the list, and importlib may raise any exception.
    with suppress(Exception):
        for file in dist.files or ():
            if file.suffix == ".py" and file.parts[0] != "..":
                yield str(dist.locate_file(file.parts[0]))
