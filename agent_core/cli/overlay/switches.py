"""Switches of single plugins: the file `conf.d/60-plugins.toml` beside the main configuration file."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent_core.base.files import make_folder, write_atomic
from agent_core.base.small_files import read_small
from agent_core.cli.exits import CommandFailed
from agent_core.config import main_file

__all__ = ("forget", "switch")

_NAME = "60-plugins.toml"
_HEAD = (
    "# Written by `camera-agent plugins enable` and `disable`, which replace this file.\n[plugins.enable]\n"
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def switch(files: Sequence[Path], name: str, *, on: bool) -> Path:
    """Store whether the plugin `name` is enabled, and return the file.

    Args:
        files: the configuration files that are read, in order.
        name: entry-point name of the plugin.
        on: True enables it.

    Raises:
        CommandFailed: there is no main configuration file, or the file has settings of another kind.
        OSError: the file cannot be read or written.
    """
    path = _file(files)
    _write(path, {**_read(path), name: on})
    return path


def forget(files: Sequence[Path], names: Sequence[str]) -> None:
    """Remove the switches of plugins, as far as they are in the file. Raises as `switch`."""
    if main_file(files) is None:
        return
    path = _file(files)
    before = _read(path)
    after = {name: on for name, on in before.items() if name not in names}
    if after != before:
        _write(path, after)


def _file(files: Sequence[Path]) -> Path:
    main = main_file(files)
    if main is None:
        raise CommandFailed(
            "There is no configuration file whose conf.d could switch a plugin.",
            reason="no_configuration",
            suggestion="Make ~/.config/camera-agent/config.toml, which may be empty, or name a file with --config.",
        )
    return main.absolute().parent / "conf.d" / _NAME


def _read(path: Path) -> dict[str, bool]:
    try:
        found = tomllib.loads(read_small(path).decode())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _foreign(path, f"it cannot be read: {error}") from error
    plugins = found.get("plugins", {})
    enable = plugins.get("enable", {}) if isinstance(plugins, dict) else {}
    if found.keys() - {"plugins"} or plugins.keys() - {"enable"} or not isinstance(enable, dict):
        raise _foreign(path, "it has other settings")
    return enable


def _foreign(path: Path, fault: str) -> CommandFailed:
    return CommandFailed(
        f"{path} was edited by hand: {fault}.",
        reason="edited_by_hand",
        suggestion="Move your settings into another file of that folder.",
    )


def _write(path: Path, enable: Mapping[str, bool]) -> None:
    if not enable:
        path.unlink(missing_ok=True)
        return
    make_folder(path.parent, 0o755)
    lines = (f"{_key(name)} = {str(on).lower()}\n" for name, on in sorted(enable.items()))
    write_atomic(path, (_HEAD + "".join(lines)).encode(), mode=0o644)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)
