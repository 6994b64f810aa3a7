"""Section `[plugins]` of the configuration: which plugins are enabled, and the settings of each."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ("PluginsConfig",)


class PluginsConfig(BaseModel):
    """Enabled plugins, in order of priority, and the settings of each in a table `[plugins.<name>]`.

    With `required = true` in its table, the agent does not start without the plugin. Each file can switch single plugins
    on and off in `enable`: tables are merged key by key, while the list `enabled` is replaced by that of a later file.
    After validation, `enabled` includes what `enable` says.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    enabled: tuple[str, ...] = Field((), description="entry-point names, highest priority first")
    enable: Mapping[str, bool] = Field(
        default_factory=dict,
        description="by name: true adds the plugin to enabled, with the lowest priority; false removes it",
    )

    @model_validator(mode="after")
    def _tables_only(self) -> "PluginsConfig":
        for name, value in (self.model_extra or {}).items():
            if not isinstance(value, dict):
                msg = f"'{name}' is neither 'enabled', 'enable' nor a table of plugin settings"
                raise ValueError(msg)  # noqa: TRY004 - pydantic wants ValueError
        return self

    @model_validator(mode="after")
    def _switched(self) -> "PluginsConfig":
        added = (name for name, is_on in self.enable.items() if is_on and name not in self.enabled)
        kept = tuple(name for name in (*self.enabled, *added) if self.enable.get(name, True))
        object.__setattr__(self, "enabled", kept)
        return self

    def settings(self, name: str) -> Mapping[str, object]:
        table = (self.model_extra or {}).get(name, {})
        return {key: value for key, value in table.items() if key != "required"}

    def required(self, name: str) -> bool:
        return (self.model_extra or {}).get(name, {}).get("required") is True
