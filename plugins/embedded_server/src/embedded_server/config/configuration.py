"""Configuration of the server: its own options, those of all paths and those of each path."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embedded_server.config import defaults
from embedded_server.config.gotext import ConfigRefused, Json
from embedded_server.config.names import check_name, match
from embedded_server.config.validation import validate_paths

__all__ = ("HOT_KEYS", "Configuration", "NotConfigured", "PathOptions")

#: A change of these options leaves publisher and readers connected; a change of any other replaces the path.
HOT_KEYS = frozenset(
    (
        "record",
        "recordPath",
        "recordFormat",
        "recordPartDuration",
        "recordMaxPartSize",
        "recordSegmentDuration",
        "recordDeleteAfter",
        "forward",
    )
)

PathOptions = Mapping[str, Json]


class NotConfigured(LookupError):
    """Error for a path name without a configuration."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Immutable configuration; a change returns a new, validated one or raises."""

    server: Mapping[str, Json]
    path_defaults: PathOptions = field(default_factory=dict)
    overrides: Mapping[str, PathOptions] = field(default_factory=dict)

    def with_server(self, options: Mapping[str, Json]) -> "Configuration":
        """Return a copy with changed global options."""
        return replace(self, server={**self.server, **options})

    def with_defaults(self, options: Mapping[str, Json]) -> "Configuration":
        """Return a copy with changed options of all paths.

        Raises:
            ConfigRefused: a path breaks a rule.
        """
        changed = replace(self, path_defaults={**self.path_defaults, **options})
        changed.validate()
        return changed

    def with_path(self, name: str, options: PathOptions, *, new: bool = False) -> "Configuration":
        """Return a copy with `options` as the overrides of `name`; with `new`, `name` must not exist yet.

        Raises:
            ConfigRefused: the name or the options are not allowed, or `name` exists.
        """
        if new and name in self.overrides:
            raise ConfigRefused("path already exists")
        check_name(name)
        changed = replace(self, overrides={**self.overrides, name: options})
        changed.validate()
        return changed

    def with_patched_path(self, name: str, options: PathOptions) -> "Configuration":
        """Return a copy with `options` merged into the overrides of `name`.

        Raises:
            NotConfigured: there is no such path.
            ConfigRefused: the options break a rule.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return self.with_path(name, {**self.overrides[name], **options})

    def without_path(self, name: str) -> "Configuration":
        """Return a copy without the path `name`.

        Raises:
            NotConfigured: there is no such path.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return replace(self, overrides={key: value for key, value in self.overrides.items() if key != name})

    def without_paths(self) -> "Configuration":
        """Return a copy without paths, as after a reload of the configuration file."""
        return replace(self, overrides={})

    def path(self, name: str) -> PathOptions:
        """Return all options of a configured path, in MediaMTX's order.

        Raises:
            NotConfigured: there is no such path.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return {**defaults.PATH, **self.path_defaults, **self.overrides[name]}

    def find(self, name: str) -> tuple[str, PathOptions, tuple[str, ...]]:
        """Find the configuration that applies to `name`.

        Returns:
            The name of the configuration, its options, and the groups matched by its regular expression.

        Raises:
            ConfigRefused: `name` is invalid or matches no configuration.
        """
        found = match(name, self.overrides)
        if found is None:
            raise ConfigRefused(f"path '{name}' is not configured")
        return found[0], self.path(found[0]), found[1]

    def validate(self) -> None:
        """Check all paths.

        Raises:
            ConfigRefused: a path breaks a rule; the message names the first one.
        """
        validate_paths({name: self.path(name) for name in self.overrides})
