"""Collection of the paths that are configured or in use."""

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
    """Paths by name; a configured path always exists, a path of a pattern exists while it is in use."""

    def __init__(self, configuration: Configuration, context: ServerContext) -> None:
        self.configuration = configuration
        self._context = context
        self._paths: dict[str, Path] = {}

    def apply(self, configuration: Configuration) -> None:
        """Apply a new configuration; paths that it does not change stay as they are."""
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
        """Close all paths."""
        for path in tuple(self._paths.values()):
            self._close(path)

    def reopen(self) -> None:
        """Close all paths and open them again with the same configuration, as some global settings require."""
        self.close()
        self.apply(self.configuration)

    def obtain(self, name: str) -> Path:
        """Return the path, which is created if a pattern matches; the caller must `release` it.

        Raises:
            ConfigRefused: the name is invalid or matches no configuration.
        """
        return self._paths.get(name) or self._open(name)

    def release(self, path: Path) -> None:
        """Remove a path of a pattern that is no longer in use."""
        if path.disposable:
            self._close(path)

    def get(self, name: str) -> Path | None:
        return self._paths.get(name)

    def drop_publishers(self) -> None:
        """End the connections of all publishers, as a network failure would."""
        for path in tuple(self._paths.values()):
            path.drop_publisher()

    def view(self) -> Mapping[str, Path]:
        """Return all paths, sorted by name."""
        return dict(sorted(self._paths.items()))
