"""Commands `call` and `events`: any call and any event of the agent."""

import argparse
import json
import math
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from agent_core.cli.access import connected, renew
from agent_core.cli.exits import UsageFailed
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command, camera_name, number
from agent_core.cli.output import one_line, print_result
from agent_core.cli.standard_streams import writing_output

if TYPE_CHECKING:
    from agent_core.client import Event

__all__ = ("add", "parse_params")


def add(commands: "Commands[Parser]") -> None:
    call = add_command(commands, "call", _call, "Make any call to the agent and print the result as JSON.")
    add_agent_options(call)
    call.add_argument(
        "method",
        metavar="NAME",
        help="for example get_system_status; `camera-agent call rpc.discover` lists all",
    )
    call.add_argument(
        "params", metavar="KEY=VALUE", nargs="*", help="a value is parsed as JSON, or else taken as text"
    )
    events = add_command(commands, "events", _events, "Print events as they arrive, one per line.")
    add_agent_options(events)
    events.add_argument("topics", metavar="TOPIC", nargs="*", help="default: all core topics")
    events.add_argument("--device", type=camera_name, metavar="CAMERA", help="only events about this camera")
    events.add_argument("--count", type=number(int, 1, 1_000_000_000), help="end after this number of events")


def parse_params(words: list[str]) -> dict[str, object]:
    """Return `key=value` words as parameters. Raises UsageFailed."""
    params: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageFailed(f"'{word}' is not of the form KEY=VALUE.", suggestion="Write device=camera0.")
        if key in params:
            raise UsageFailed(f"The parameter {key} is given twice.", suggestion="Give it once.")
        params[key] = _value(text)
    return params


def _value(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _call(arguments: argparse.Namespace) -> int:
    import anyio

    if arguments.method == "authenticate":
        raise UsageFailed(
            "A token must not be on the command line: every user of this host can read it there.",
            reason="secret_in_arguments",
            suggestion="Give it with --token-file or in CAMERA_AGENT_TOKEN; every command authenticates with it.",
        )
    params = parse_params(arguments.params)
    result = anyio.run(partial(_fetch, arguments, params))
    lines = json.dumps(result, indent=2).splitlines()
    print_result(result, lines, as_json=arguments.json)
    return 0


async def _fetch(arguments: argparse.Namespace, params: dict[str, object]) -> Any:
    async with connected(arguments) as agent:
        return await agent.call(arguments.method, **params)


def _events(arguments: argparse.Namespace) -> int:
    import anyio

    anyio.run(partial(_print_events, arguments))
    return 0


async def _print_events(arguments: argparse.Namespace) -> None:
    from agent_core.client import CORE_TOPICS

    topics = arguments.topics or list(CORE_TOPICS)
    left = arguments.count
    async with connected(arguments) as agent, agent.subscribe(topics, arguments.device) as events:
        async for event in events:
            if event.topic == "system.auth_expired":
                await renew(agent, arguments)
                continue
            print_result(
                {"topic": event.topic, "params": event.params}, [_summary(event)], as_json=arguments.json
            )
            with writing_output():
                sys.stdout.flush()
            left = left - 1 if left else None
            if left == 0:
                return


def _summary(event: "Event") -> str:
    params = dict(event.params)
    when = params.pop("timestamp", "")
    words = [f"{name}={value}" for name, value in params.items() if not isinstance(value, dict | list)]
    return one_line(" ".join([str(when), event.topic, *words]))
