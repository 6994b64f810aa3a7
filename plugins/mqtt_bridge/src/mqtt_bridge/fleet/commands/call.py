"""Command `fleet call`."""

import argparse
import json
from collections.abc import Iterable, Mapping
from functools import partial

from pydantic import JsonValue

from agent_core.plugin.commands import CommandOutput, UsageFailed
from mqtt_bridge.client import Selector
from mqtt_bridge.fleet.access import chosen, connected, run
from mqtt_bridge.fleet.summary import find_agents, print_answers

__all__ = ("run_call",)


def run_call(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Call the chosen agents and print their answers."""
    if arguments.method == "authenticate":
        raise UsageFailed(
            "Calls through a broker carry no tokens.",
            reason="no_tokens",
            suggestion="Give the key that signs them with --mqtt-key-file.",
        )
    params = arguments.parse_params(arguments.params)
    return run(partial(_call, arguments, chosen(arguments.selector), params, output))


async def _call(
    arguments: argparse.Namespace, selector: Selector, params: Mapping[str, JsonValue], output: CommandOutput
) -> int:
    async with connected(arguments, needs_key=True) as fleet:
        agents = await find_agents(fleet, selector, arguments.selector)
        answers = fleet.call_many(agents, arguments.method, params, concurrency=arguments.concurrency)
        return await print_answers(answers, len(agents), output, _lines)


def _lines(agent: str, result: JsonValue) -> Iterable[str]:
    first, *rest = json.dumps(result, indent=2).splitlines()
    return f"{agent}: {first}", *rest
