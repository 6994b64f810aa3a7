"""Command `fleet watch`."""

import argparse
from collections.abc import Iterable
from functools import partial

from agent_core.plugin.commands import CommandOutput
from mqtt_bridge.client import FleetEvent, Selector
from mqtt_bridge.fleet.access import chosen, connected, run

__all__ = ("run_watch",)


def run_watch(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Print events until interrupted, or until there were as many as wanted."""
    run(partial(_watch, arguments, chosen(arguments.selector), output))
    return 0


async def _watch(arguments: argparse.Namespace, selector: Selector, output: CommandOutput) -> None:
    left: int | None = arguments.count
    missed: dict[str, int] = {}
    async with connected(arguments) as fleet, fleet.watch(selector) as events:
        output.note("Watching.")
        async for event in events:
            if arguments.topic and event.topic not in arguments.topic:
                missed[event.agent] = missed.get(event.agent, 0) + event.missed
                continue
            gap = missed.pop(event.agent, 0) + event.missed
            output.print_result(_described(event, gap), _lines(event, gap, output))
            left = left - 1 if left else None
            if left == 0:
                return


def _described(event: FleetEvent, missed: int) -> dict[str, object]:
    return {
        "agent": event.agent,
        "topic": event.topic,
        "params": event.params,
        "boot_id": event.boot_id,
        "sequence": event.sequence,
        "missed": missed,
        "has_restarted": event.has_restarted,
    }


def _lines(event: FleetEvent, missed: int, output: CommandOutput) -> Iterable[str]:
    if event.has_restarted:
        yield f"{event.agent}: has started anew"
    if missed:
        yield f"{event.agent}: {missed} events are missing here"
    params = {name: value for name, value in event.params.items() if name not in {"timestamp", "sequence"}}
    words = [f"{name}={value}" for name, value in params.items() if not isinstance(value, dict | list)]
    yield output.one_line(
        " ".join([str(event.params.get("timestamp", "")), event.agent, event.topic, *words])
    )
