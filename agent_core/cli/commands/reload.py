"""Command `reload`."""

import argparse
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_core.base.errors import ConfigError
from agent_core.cli.access import connected
from agent_core.cli.exits import CommandFailed
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command
from agent_core.cli.output import one_line, print_result

if TYPE_CHECKING:
    from agent_core.client import CallFailed

__all__ = ("add",)

#: Code of the wire contract for a configuration that is invalid.
_INVALID_STATE = -32020


def add(commands: "Commands[Parser]") -> None:
    add_agent_options(
        add_command(
            commands,
            "reload",
            _reload,
            "Let the running agent read its configuration again, and list what has changed and what needs a restart.",
        )
    )


def _reload(arguments: argparse.Namespace) -> int:
    import anyio

    from agent_core.client import CallFailed

    try:
        result = anyio.run(partial(_fetch, arguments))
    except CallFailed as failed:
        raise _explained(failed) from failed
    print_result(result, _lines(result), as_json=arguments.json)
    if result["errors"]:
        raise CommandFailed(
            "Not all parts of the agent took over their settings.",
            reason="reload_incomplete",
            suggestion="See the lines above and the agent's log; a restart applies the settings, too.",
        )
    return 0


async def _fetch(arguments: argparse.Namespace) -> Any:
    async with connected(arguments) as agent:
        return await agent.call("reload_configuration")


def _explained(failed: "CallFailed") -> "ConfigError | CallFailed":
    """Return an invalid configuration as such, which has an exit code of its own; else the error itself."""
    if failed.code != _INVALID_STATE:
        return failed
    return ConfigError(failed.details, reason=failed.reason, suggestion=failed.suggestion)


def _lines(result: Any) -> Iterable[str]:
    yield from (f"changed:       {one_line(each)}" for each in result["changed"])
    yield from (f"needs restart: {one_line(each)}" for each in result["needs_restart"])
    yield from (f"note:          {one_line(each)}" for each in result["notes"])
    yield from (f"error:         {one_line(each)}" for each in result["errors"])
    if not any(result.values()):
        yield "Nothing has changed."
