"""The configuration as `run` reads it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.errors import ConfigError

if TYPE_CHECKING:
    from agent_core.config import AgentConfig

__all__ = ("find_files", "load_settings")


def find_files(explicit: Path | None) -> tuple[Path, ...]:
    """Raises ConfigError: a file does not exist, or its folder may not be looked into."""
    from agent_core.config import config_files

    try:
        return config_files(explicit)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"{error.filename} cannot be read: {said}.",
            reason="config_unreadable",
            suggestion="Run this as a user who may read the configuration, or give --url and a token.",
        ) from error


def load_settings(explicit: Path | None) -> "AgentConfig":
    """Raises ConfigError."""
    from agent_core.config import load_config

    return load_config(find_files(explicit), os.environ)
