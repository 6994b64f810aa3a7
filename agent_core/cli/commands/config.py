"""Commands `check-config` and `config schema`."""

import argparse
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agent_core.base.errors import ConfigError, PluginError
from agent_core.cli.loading import find_files, load_plugins, load_settings, quietly
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import one_line, print_result

if TYPE_CHECKING:
    from agent_core.config import AgentConfig, PluginsConfig
    from agent_core.plugin_host.models import PluginStatus

__all__ = ("add", "schema_with")


def add(commands: "Commands[Parser]") -> None:
    add_command(
        commands,
        "check-config",
        _check,
        "Check the configuration, including the plugins' settings, without running the agent.",
    )
    parser: Parser = commands.add_parser(
        "config", help="Describe the configuration.", description="Describe the configuration."
    )
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(below, "schema", _schema, "Print the JSON schema, including the settings of enabled plugins.")


def _check(arguments: argparse.Namespace) -> int:
    from agent_core.config import load_layers
    from agent_core.plugin_host.wrong_settings import refuse_wrong_settings

    files = find_files(arguments.config)
    loaded = load_layers(files, os.environ)
    config = loaded.config
    statuses = load_plugins(config)
    try:
        refuse_wrong_settings(statuses)
    except ConfigError as error:
        raise loaded.located(error) from error
    failed = [status for status in statuses if status.reason]
    for status in failed:
        if config.plugins.required(status.name):
            raise ConfigError(status.details, reason=status.reason, suggestion=status.suggestion)
    value = {
        "valid": True,
        "files": [str(path) for path in files],
        "state_dir": str(config.storage.state_dir),
        "plugins": list(config.plugins.enabled),
        "warnings": list(_warnings(config.plugins, failed)),
    }
    print_result(value, _lines(value), as_json=arguments.json)
    return 0


def _warnings(config: "PluginsConfig", failed: "list[PluginStatus]") -> Iterable[str]:
    for status in failed:
        yield f"{status.details} {status.suggestion}"
    for name in sorted(set(config.model_extra or {}) - set(config.enabled)):
        yield f"There are settings for '{name}', which is not in plugins.enabled."


def _lines(value: dict[str, Any]) -> Iterable[str]:
    yield "The configuration is valid."
    yield f"files:   {', '.join(value['files']) or 'none, all defaults'}"
    yield f"state:   {value['state_dir']}"
    yield f"plugins: {', '.join(value['plugins']) or 'none'}"
    for warning in value["warnings"]:
        yield f"warning: {one_line(warning)}"


def _schema(arguments: argparse.Namespace) -> int:
    schema = schema_with(load_settings(arguments.config))
    print_result(schema, json.dumps(schema, indent=2).splitlines(), as_json=arguments.json)
    return 0


def schema_with(config: "AgentConfig") -> dict[str, Any]:
    """Return the schema of the whole configuration; settings of a plugin that cannot be loaded are left out."""
    from pydantic import Field, create_model

    from agent_core.config import AgentConfig, PluginsConfig

    tables: dict[str, Any] = {
        name: (table, Field(default_factory=dict))
        for name in config.plugins.enabled
        if (table := _settings_table(name)) is not None
    }
    plugins = create_model("PluginsConfig", __base__=PluginsConfig, **tables)
    whole = create_model("AgentConfig", __base__=AgentConfig, plugins=(plugins, Field(default_factory=dict)))
    return whole.model_json_schema()


def _settings_table(name: str) -> Any:
    """Return the model of `[plugins.<name>]`: the plugin's settings and the agent's own key `required`."""
    from pydantic import Field, create_model

    from agent_core.plugin_host.manager import plugin_class

    try:
        with quietly():
            settings = plugin_class(name).Settings
    except PluginError:
        return None
    required = (bool, Field(default=False, description="refuse to start without this plugin"))
    return create_model(f"Settings of {name}", __base__=settings, required=required)
