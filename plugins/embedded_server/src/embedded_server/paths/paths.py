"""All paths that are configured or in use, kept in step with the configuration."""

from collections.abc import Mapping

from embedded_server.config.configuration import HOT_KEYS, Configuration, PathOptions
from embedded_server.config.gotext import ConfigRefused
from embedded_server.config.names import is_pattern
from embedded_server.context import ServerContext
from embedded_server.paths.path import Path

__all__ = ("Paths",)


def _only_hot(old: PathOptions, new: PathOptions) -> bool:
    return all(old[key] == new[key] for key in new if key not in HOT_KEYS)


class Paths:
    """The paths by name. A configured one is always there, one of a pattern while it is in use."""

    def __init__(self, configuration: Configuration, context: ServerContext) -> None:
        self.configuration = configuration
        self._context = context
        self._paths: dict[str, Path] = {}

    def apply(self, configuration: Configuration) -> None:
        """Bring all paths to a new configuration, disturbing only those that it changes."""
        self.configuration = configuration
        for path in tuple(self._paths.values()):
            self._reconfigure(path)
        for name in configuration.overrides:
            if name not in self._paths and not is_pattern(name):
                self._open(name)

    def _reconfigure(self, path: Path) -> None:
        try:
            conf_name, options, _ = self.configuration.find(path.name)
        except ConfigRefused:
            self._close(path)
            return
        if _only_hot(path.options, options):
            path.reload(conf_name, options)
        else:
            self._close(path)

    def _open(self, name: str) -> Path:
        conf_name, options, groups = self.configuration.find(name)
        path = self._paths[name] = Path(name, conf_name, options, self._context, groups)
        path.open()
        return path

    def _close(self, path: Path) -> None:
        if self._paths.get(path.name) is path:
            del self._paths[path.name]
        path.close()

    def close(self) -> None:
        """Close all; the server ends, or forgets."""
        for path in tuple(self._paths.values()):
            self._close(path)

    def reopen(self) -> None:
        """Close all and begin again with the same configuration: what some global settings do."""
        self.close()
        self.apply(self.configuration)

    def obtain(self, name: str) -> Path:
        """The path, made if a pattern allows it; give it back with `release`.

        Raises:
            ConfigRefused: the name is bad or nothing configured answers for it.
        """
        return self._paths.get(name) or self._open(name)

    def release(self, path: Path) -> None:
        """Forget a path that is not in use any more."""
        if path.disposable:
            self._close(path)

    def get(self, name: str) -> Path | None:
        return self._paths.get(name)

    def drop_publishers(self) -> None:
        """End all publishers' connections, as a fault."""
        for path in tuple(self._paths.values()):
            path.drop_publisher()

    def view(self) -> Mapping[str, Path]:
        """All paths by name."""
        return dict(sorted(self._paths.items()))
