"""Commands `plugins list` and `plugins check`; the others below `plugins` change something."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agent_core.cli.commands import plugin_changes
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
    parser: Parser = commands.add_parser(
        "plugins", help="Inspect and install plugins.", description="Inspect and install plugins."
    )
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(
        below,
        "list",
        _list,
        "Load the enabled plugins without running them; list the other installed ones too, and where each comes from.",
    )
    add_command(
        below,
        "check",
        _check,
        "Load the enabled plugins and query what they provide, without running it; fail if one is unusable.",
    )
    plugin_changes.add(below)


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


def _installed() -> dict[str, Row]:
    """Return version, distribution and origin by name from the metadata, without importing plugins."""
    from importlib.metadata import entry_points

    from agent_core.plugin_host.manager import ENTRY_POINT_GROUP
    from agent_core.plugin_host.overlay.place import agents_place
    from agent_core.plugin_host.provenance import find_origin
    from agent_core.plugin_host.selection import version_of

    place = agents_place()
    return {
        each.name: {
            "version": version_of(each.dist),
            "distribution": each.dist.name if each.dist is not None else "",
            "origin": str(find_origin(each.dist, place)),
        }
        for each in entry_points(group=ENTRY_POINT_GROUP)
    }


def _enabled(config: "AgentConfig", installed: dict[str, Row]) -> list[Row]:
    missing = {"version": "", "distribution": "", "origin": ""}
    return [
        {
            "name": status.name,
            **installed.get(status.name, missing),
            "state": str(status.state),
            "reason": status.reason,
            "details": status.details,
            "suggestion": status.suggestion,
        }
        for status in load_plugins(config)
    ]


def _others(config: "PluginsConfig", installed: dict[str, Row]) -> list[Row]:
    nothing = {"reason": "", "details": "", "suggestion": ""}
    return [
        {"name": name, **found, "state": _NOT_ENABLED, **nothing}
        for name, found in sorted(installed.items())
        if name not in config.enabled
    ]


def _show(rows: list[Row], config: "AgentConfig", *, as_json: bool) -> None:
    """Print the rows, and, except as JSON, problems of the overlay and how the watchdog ended the last run."""
    from agent_core.plugin_host.overlay.place import agents_place
    from agent_core.plugin_host.overlay.wanted import find_problems
    from agent_core.plugin_host.watchdog.records import host_times, review

    lines = list(_lines(rows)) if rows else ["No plugins."]
    lines += [one_line(f"{each.details} {each.suggestion}") for each in find_problems(agents_place())]
    if ended := review(config, host_times()).ended:
        lines.append(one_line(ended))
    print_result(rows, lines, as_json=as_json)


def _lines(rows: list[Row]) -> Iterable[str]:
    yield from table(
        ("NAME", "VERSION", "FROM", "STATE", "REASON"),
        [(row["name"], row["version"], row["origin"], row["state"], row["reason"]) for row in rows],
    )
    for row in rows:
        if row["reason"]:
            yield f"{row['name']}: {one_line(row['details'])} {one_line(row['suggestion'])}"
