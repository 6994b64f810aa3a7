"""Commands `plugins list` and `plugins check`."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agent_core.cli.exits import CommandFailed
from agent_core.cli.loading import load_plugins, load_settings
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import one_line, print_result, table

if TYPE_CHECKING:
    from agent_core.config import AgentConfig, PluginsConfig

__all__ = ("add",)

#: State of an installed plugin that is not in `plugins.enabled`; other states are those of `PluginState`.
_NOT_ENABLED = "NOT_ENABLED"

Row = dict[str, str]


def add(commands: "Commands[Parser]") -> None:
    parser: Parser = commands.add_parser("plugins", help="Inspect plugins.", description="Inspect plugins.")
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(
        below,
        "list",
        _list,
        "Load the enabled plugins without running them; list the other installed ones too.",
    )
    add_command(
        below,
        "check",
        _check,
        "Load the enabled plugins and query what they provide, without running it; fail if one is unusable.",
    )


def _list(arguments: argparse.Namespace) -> int:
    config = load_settings(arguments.config)
    installed = _installed()
    rows = [*_enabled(config, installed), *_others(config.plugins, installed)]
    _show(rows, config, as_json=arguments.json)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    config = load_settings(arguments.config)
    rows = _enabled(config, _installed())
    _show(rows, config, as_json=arguments.json)
    failed = [row["name"] for row in rows if row["reason"]]
    if failed:
        raise CommandFailed(
            f"{len(failed)} of {len(rows)} enabled plugins cannot be used: {', '.join(failed)}.",
            reason="plugins_failed",
            suggestion="Follow the suggestion for each, or remove it from plugins.enabled.",
        )
    return 0


def _installed() -> dict[str, str]:
    """Return the versions by name from the metadata, without importing plugins."""
    from importlib.metadata import entry_points

    from agent_core.plugin_host.manager import ENTRY_POINT_GROUP
    from agent_core.plugin_host.selection import version_of

    found = entry_points(group=ENTRY_POINT_GROUP)
    return {each.name: version_of(each.dist) for each in found}


def _enabled(config: "AgentConfig", installed: dict[str, str]) -> list[Row]:
    return [
        {
            "name": status.name,
            "version": status.version or installed.get(status.name, ""),
            "state": str(status.state),
            "reason": status.reason,
            "details": status.details,
            "suggestion": status.suggestion,
        }
        for status in load_plugins(config)
    ]


def _others(config: "PluginsConfig", installed: dict[str, str]) -> list[Row]:
    nothing = {"reason": "", "details": "", "suggestion": ""}
    return [
        {"name": name, "version": version, "state": _NOT_ENABLED, **nothing}
        for name, version in sorted(installed.items())
        if name not in config.enabled
    ]


def _show(rows: list[Row], config: "AgentConfig", *, as_json: bool) -> None:
    """Print the rows, and, except as JSON, how the watchdog ended the last run."""
    from agent_core.plugin_host.watchdog.records import host_times, review

    lines = list(_lines(rows)) if rows else ["No plugins."]
    if ended := review(config, host_times()).ended:
        lines.append(one_line(ended))
    print_result(rows, lines, as_json=as_json)


def _lines(rows: list[Row]) -> Iterable[str]:
    yield from table(
        ("NAME", "VERSION", "STATE", "REASON"),
        [(row["name"], row["version"], row["state"], row["reason"]) for row in rows],
    )
    for row in rows:
        if row["reason"]:
            yield f"{row['name']}: {one_line(row['details'])} {one_line(row['suggestion'])}"
