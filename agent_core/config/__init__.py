"""Reading the configuration: files and environment merged, validated once, mistakes named."""

from agent_core.config.loading import (
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
    config_files,
    explain_validation,
    load_config,
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
    "config_files",
    "explain_validation",
    "load_config",
)
