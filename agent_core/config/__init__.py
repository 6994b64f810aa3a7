"""Configuration: its sections, and loading them from files and environment."""

from agent_core.config.hot import HOT, KeyChange, changes, is_hot, with_keys
from agent_core.config.loading import (
    ConfigSource,
    LoadedConfig,
    config_files,
    explain_validation,
    load_config,
    load_layers,
    main_file,
)
from agent_core.config.plugins import PluginsConfig
from agent_core.config.sections import (
    AgentConfig,
    AuthConfig,
    FfmpegConfig,
    HealthConfig,
    LoggingConfig,
    MediaServerConfig,
    RecordingsConfig,
    ServerConfig,
    SnapshotsConfig,
    StorageConfig,
    ThumbnailsConfig,
)
from agent_core.config.views import ViewsConfig

__all__ = (
    "HOT",
    "AgentConfig",
    "AuthConfig",
    "ConfigSource",
    "FfmpegConfig",
    "HealthConfig",
    "KeyChange",
    "LoadedConfig",
    "LoggingConfig",
    "MediaServerConfig",
    "PluginsConfig",
    "RecordingsConfig",
    "ServerConfig",
    "SnapshotsConfig",
    "StorageConfig",
    "ThumbnailsConfig",
    "ViewsConfig",
    "changes",
    "config_files",
    "explain_validation",
    "is_hot",
    "load_config",
    "load_layers",
    "main_file",
    "with_keys",
)
