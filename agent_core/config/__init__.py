"""Configuration: its sections, and loading them from files and environment."""

from agent_core.config.loading import config_files, explain_validation, load_config, main_file
from agent_core.config.sections import (
    AgentConfig,
    AuthConfig,
    FfmpegConfig,
    HealthConfig,
    LoggingConfig,
    MediaServerConfig,
    PluginsConfig,
    RecordingsConfig,
    ServerConfig,
    SnapshotsConfig,
    StorageConfig,
    ThumbnailsConfig,
)

__all__ = (
    "AgentConfig",
    "AuthConfig",
    "FfmpegConfig",
    "HealthConfig",
    "LoggingConfig",
    "MediaServerConfig",
    "PluginsConfig",
    "RecordingsConfig",
    "ServerConfig",
    "SnapshotsConfig",
    "StorageConfig",
    "ThumbnailsConfig",
    "config_files",
    "explain_validation",
    "load_config",
    "main_file",
)
