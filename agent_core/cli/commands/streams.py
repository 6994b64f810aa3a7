"""Command `streams`."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_core.cli.access import connected
from agent_core.cli.commands.external_streams import add_below
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command
from agent_core.cli.output import print_result, size, table

if TYPE_CHECKING:
    from agent_core.client import AgentClient

__all__ = ("add",)

_NONE = "No streams and no cameras. `camera-agent plugins list` shows the plugins that could find some."


def add(commands: "Commands[Parser]") -> None:
    parser = add_command(
        commands, "streams", _streams, "List the live streams and their addresses, or manage external ones."
    )
    add_agent_options(parser)
    add_below(parser.add_subparsers(title="commands", metavar="COMMAND"))


def _streams(arguments: argparse.Namespace) -> int:
    import anyio

    listed = anyio.run(partial(_fetch, arguments))
    rows = [
        [each["name"], _state(each), each["readers"], size(each["bytes_sent"]), each["stream_url"]]
        for each in listed["streams"]
    ]
    lines = table(["STREAM", "STATE", "VIEWERS", "SENT", "ADDRESS"], rows) if rows else [_NONE]
    print_result(listed, lines, as_json=arguments.json)
    return 0


def _state(stream: Any) -> str:
    return "live" if stream["ready"] else stream.get("reason") or "on demand"


async def _fetch(arguments: argparse.Namespace) -> Any:
    """Return the server's streams with their addresses, and cameras without a stream with the reason."""
    async with connected(arguments) as agent:
        cameras = (await agent.call("get_camera_list"))["cameras"]
        urls = {camera["device"]: camera["stream_url"] for camera in cameras}
        reasons = {device: await _offer(agent, device) for device in urls}
        found = {stream["name"]: stream for stream in await agent.call("get_streams")}
    for device, reason in reasons.items():
        missing = {"name": device, "ready": False, "readers": 0, "bytes_sent": 0}
        found.setdefault(device, {**missing, "reason": reason or "no_stream"})
    return {"streams": [{**stream, "stream_url": urls.get(name, "")} for name, stream in found.items()]}


async def _offer(agent: "AgentClient", device: str) -> str | None:
    """Make the server offer the camera's stream; return the reason if it cannot, else None."""
    from agent_core.client import CallFailed

    try:
        await agent.call("get_stream_url", device=device)
    except CallFailed as error:
        return error.reason
    return None
