"""Loading of the configuration: files and environment are merged, then validated once.

`agent_core.config.sections` defines the sections.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from agent_core.base.errors import ConfigError
from agent_core.base.small_files import read_small
from agent_core.config.sections import AgentConfig
from agent_core.config.toml import parse_toml

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = (
    "ConfigSource",
    "LoadedConfig",
    "config_files",
    "explain_validation",
    "load_config",
    "load_layers",
    "main_file",
)

ENVIRONMENT_PREFIX = "CAMERA_AGENT__"
#: Part of a location that names no key, but one of several types that pydantic has tried.
_TRIED = re.compile(r"^[a-z-]+\[.+\]$", re.DOTALL)
#: Faults, by pydantic's types of errors, that pydantic tells in words of Python.
_IN_TOML = MappingProxyType(
    {
        **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "Input should be a list"),
        **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "Input should be a table"),
    }
)
SYSTEM_CONFIG = Path("/etc/camera-agent/config.toml")
#: Files of packages: that of a plugin switches it on while it is installed.
VENDOR_FOLDER = Path("/usr/share/camera-agent/conf.d")


def config_files(
    explicit: Path | None, *, system: Path = SYSTEM_CONFIG, vendor: Path = VENDOR_FOLDER
) -> tuple[Path, ...]:
    """Return the files to read, in order; later files override earlier ones.

    The main file is `explicit`, else the system's, else the user's (XDG). The files `conf.d/*.toml` beside it follow.
    Those of packages come before the system's main file, and are not read with any other.

    Args:
        explicit: the main file that was asked for.
        system: the main file of the system.
        vendor: the folder of the packages' files.

    Raises:
        ConfigError: `explicit` does not exist.
        OSError: a folder or file cannot be looked at; its values would be lost without notice.
    """
    if explicit is not None and not explicit.exists():
        raise ConfigError(f"The configuration file {explicit} does not exist.", reason="config_missing")
    main = explicit or next((path for path in (system, *_user_config()) if path.is_file()), None)
    if main is None:
        return ()
    packaged = _toml_files(vendor) if main == system else ()
    return (*packaged, main, *_toml_files(main.parent / "conf.d"))


def _toml_files(folder: Path) -> Sequence[Path]:
    """Return the paths of a folder that may not exist. `Path.glob` returns none of one that cannot be read, either."""
    try:
        return sorted(each for each in folder.iterdir() if each.name.endswith(".toml"))
    except FileNotFoundError:
        return ()


def main_file(files: Iterable[Path], vendor: Path = VENDOR_FOLDER) -> Path | None:
    """Return the main one of the files that `config_files` returned; None if there is none."""
    return next((path for path in files if path.parent != vendor), None)


def _user_config() -> tuple[Path, ...]:
    """Return the path of the user's file, which may not exist; nothing for an account without a home folder."""
    try:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:
        return ()
    return (base / "camera-agent/config.toml",)


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_small(path, follow=True).decode())
    except (ValueError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        fault = said.lower() if said else str(error)
        closed = isinstance(error, PermissionError)
        raise ConfigError(
            f"The configuration file {path} cannot be read: {fault}.",
            reason="config_unreadable",
            suggestion="Let this account read it, by its group and mode, or use root's." if closed else None,
        ) from error


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`; tables are merged key by key, other values replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _literal(text: str) -> object:
    """Return `text` as the TOML value that it spells (`8002`, `true`, `["a"]`), else `text` itself."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        *tables, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        value: dict[str, Any] = {key: _literal(text)}
        for table in reversed(tables):
            value = {table: value}
        tree = _merge(tree, value)
    return tree


def _known_keys(root: type[BaseModel], location: tuple[int | str, ...]) -> Iterable[str]:
    model: Any = root
    for part in location:
        if isinstance(part, int):  # in a list of tables
            model = next(iter(get_args(model)), None)
        else:
            field = _fields(model).get(part)
            model = field.annotation if field else None
    return tuple(_fields(model))


def _fields(model: Any) -> "Mapping[str, FieldInfo]":
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}


def explain_validation(
    error: ValidationError, table: Sequence[str] = (), root: type[BaseModel] = AgentConfig
) -> ConfigError:
    """Return the first problem as a sentence that names the key and, if it is unknown, the nearest valid key.

    Args:
        error: the result of the validation.
        table: where the validated model is in the file: the names of the tables, outermost first.
        root: the validated model.
    """
    first = error.errors()[0]
    location = (*table, *first["loc"])
    key = ".".join(each for each in map(str, location) if not _TRIED.search(each))
    if first["type"] != "extra_forbidden":
        said = _IN_TOML.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        return ConfigError(f"{key}: {said}.", reason="invalid_value", location=location)
    near = difflib.get_close_matches(str(first["loc"][-1]), list(_known_keys(root, first["loc"][:-1])), n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "Run `camera-agent config schema` for all keys."
    details = f"There is no configuration key '{key}'."
    return ConfigError(details, reason="unknown_key", suggestion=hint, location=location)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Configuration with the places that its values come from.

    Attributes:
        config: the validated configuration.
        files: the files that were read, in order.
        layers: a name and the values of each place; later ones override earlier ones.
    """

    config: AgentConfig
    files: tuple[Path, ...] = ()
    layers: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def located(self, error: ConfigError) -> ConfigError:
        """Return `error` with the place of the value that it is about, if there is one."""
        return _located(error, self.layers)


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Places that the configuration of one agent comes from, to read it again.

    Args:
        main: the main file; None looks for one at each reading.
        environment: the variables.
    """

    main: Path | None
    environment: Mapping[str, str]

    def read(self) -> LoadedConfig:
        """Read the main file, the files of `conf.d` that are there now, and the variables. Blocks.

        Raises:
            ConfigError: as `config_files` and `load_config`, or the folder `conf.d` cannot be read.
        """
        try:
            files = config_files(self.main)
        except OSError as error:
            raise ConfigError(
                f"{error.filename} cannot be read: {(error.strerror or str(error)).lower()}.",
                reason="config_unreadable",
            ) from error
        return load_layers(files, self.environment)


def load_config(files: Iterable[Path] = (), environment: Mapping[str, str] | None = None) -> AgentConfig:
    """Read `files`, override them by `CAMERA_AGENT__SECTION__KEY` in `environment`, and validate the result.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, or a value is out of range.
    """
    return load_layers(files, environment or {}).config


def load_layers(files: Iterable[Path], environment: Mapping[str, str]) -> LoadedConfig:
    """Read the configuration like `load_config`, and keep the places that its values come from.

    Raises:
        ConfigError: as `load_config`.
    """
    files = tuple(files)
    layers = tuple((str(path), _read(path)) for path in files)
    layers += (("the environment", _from_environment(environment)),)
    tree: dict[str, Any] = {}
    for _, values in layers:
        tree = _merge(tree, values)
    try:
        return LoadedConfig(AgentConfig.model_validate(tree), files, layers)
    except ValidationError as error:
        raise _located(explain_validation(error), layers) from error
    except RuntimeError as error:  # from Path.home
        raise ConfigError(
            "storage.state_dir is not set, and this account has no home folder for the default.",
            reason="no_home",
            suggestion="Set storage.state_dir, or HOME in the environment.",
        ) from error


def _located(error: ConfigError, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> ConfigError:
    """Return `error` with the last place that has the key at its location, or most of the tables above it."""
    depths = [(_depth(values, error.location), number) for number, (_, values) in enumerate(layers)]
    depth, number = max(depths, default=(0, 0))
    if depth == 0:
        return error
    details = f"{error.details.removesuffix('.')} (in {layers[number][0]})."
    return ConfigError(details, reason=error.reason, suggestion=error.suggestion)


def _depth(values: object, location: Sequence[int | str]) -> int:
    """Return how many parts of `location` lead into `values`."""
    depth = 0
    for part in location:
        try:
            values = values[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        depth += 1
    return depth
