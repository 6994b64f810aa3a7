"""Command `fleet list`."""

import argparse
from collections.abc import Sequence
from functools import partial

from agent_core.plugin.commands import CommandOutput
from mqtt_bridge.client import FleetAgent, Selector
from mqtt_bridge.fleet.access import chosen, connected, run

__all__ = ("run_list",)


def run_list(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Print the chosen agents."""
    found = run(partial(_found, arguments, chosen(arguments.selector)))
    rows = [(each.id, _state(each), each.name, each.version, _labels(each)) for each in found]
    lines = (
        output.table(("AGENT", "STATE", "NAME", "VERSION", "LABELS"), rows)
        if rows
        else ["The broker knows no such agents."]
    )
    output.print_result(_described(found), lines)
    return 0


async def _found(arguments: argparse.Namespace, selector: Selector) -> list[FleetAgent]:
    async with connected(arguments) as fleet:
        return await fleet.select(selector)


def _state(agent: FleetAgent) -> str:
    return "online" if agent.is_online else "offline"


def _labels(agent: FleetAgent) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(agent.labels.items()))


def _described(agents: Sequence[FleetAgent]) -> list[dict[str, object]]:
    return [
        {
            "agent": each.id,
            "state": _state(each),
            "name": each.name,
            "version": each.version,
            "boot_id": each.boot_id,
            "started_at": None
            if each.started_at is None
            else each.started_at.isoformat().replace("+00:00", "Z"),
            "labels": each.labels,
        }
        for each in agents
    ]
