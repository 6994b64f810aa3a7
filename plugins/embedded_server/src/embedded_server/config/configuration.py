"""What the server is told to do: the options of the server, of all paths and of each path."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embedded_server.config import defaults
from embedded_server.config.gotext import ConfigRefused, Json
from embedded_server.config.names import check_name, match
from embedded_server.config.validation import validate_paths

__all__ = ("HOT_KEYS", "Configuration", "NotConfigured", "PathOptions")

#: A change of these leaves publisher and readers alone; of any other option it makes the path anew.
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
    """There is no configuration of that name."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One state of the configuration; each change gives the next one, whole and validated, or is refused."""

    server: Mapping[str, Json]
    path_defaults: PathOptions = field(default_factory=dict)
    overrides: Mapping[str, PathOptions] = field(default_factory=dict)

    def with_server(self, options: Mapping[str, Json]) -> "Configuration":
        """Global options changed."""
        return replace(self, server={**self.server, **options})

    def with_defaults(self, options: Mapping[str, Json]) -> "Configuration":
        """Options of all paths changed.

        Raises:
            ConfigRefused: a rule is broken by some path.
        """
        changed = replace(self, path_defaults={**self.path_defaults, **options})
        changed.validate()
        return changed

    def with_path(self, name: str, options: PathOptions, *, new: bool = False) -> "Configuration":
        """The overrides of `name` become `options`; with `new` it must not be there yet.

        Raises:
            ConfigRefused: the name or the options are not allowed, or it is there.
        """
        if new and name in self.overrides:
            raise ConfigRefused("path already exists")
        check_name(name)
        changed = replace(self, overrides={**self.overrides, name: options})
        changed.validate()
        return changed

    def with_patched_path(self, name: str, options: PathOptions) -> "Configuration":
        """Some overrides of `name` changed.

        Raises:
            NotConfigured: there is no such path.
            ConfigRefused: a rule is broken.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return self.with_path(name, {**self.overrides[name], **options})

    def without_path(self, name: str) -> "Configuration":
        """`name` removed.

        Raises:
            NotConfigured: there is no such path.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return replace(self, overrides={key: value for key, value in self.overrides.items() if key != name})

    def without_paths(self) -> "Configuration":
        """All paths forgotten, as after a reload of the configuration file."""
        return replace(self, overrides={})

    def path(self, name: str) -> PathOptions:
        """All options of a configured path, in the order of the listing.

        Raises:
            NotConfigured: there is no such path.
        """
        if name not in self.overrides:
            raise NotConfigured(name)
        return {**defaults.PATH, **self.path_defaults, **self.overrides[name]}

    def find(self, name: str) -> tuple[str, PathOptions, tuple[str, ...]]:
        """The configuration that answers for `name`: its name, its options, the groups of its expression.

        Raises:
            ConfigRefused: with the server's words, for a bad name and for one that nothing matches.
        """
        found = match(name, self.overrides)
        if found is None:
            raise ConfigRefused(f"path '{name}' is not configured")
        return found[0], self.path(found[0]), found[1]

    def validate(self) -> None:
        """Check every path against every rule.

        Raises:
            ConfigRefused: the first rule that is broken.
        """
        validate_paths({name: self.path(name) for name in self.overrides})
