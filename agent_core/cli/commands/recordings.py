"""Commands `recordings` and `recordings get`."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.access import connected
from agent_core.cli.exits import CommandFailed, UsageFailed
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command, camera_name, number
from agent_core.cli.output import duration, one_line, print_result, size, table
from agent_core.cli.targets import checked_target, writing

if TYPE_CHECKING:
    from agent_core.client import AgentClient
    from agent_core.client.downloads import Download

__all__ = ("add", "segment_path")

#: HTTP statuses: no such file; segments that cannot be joined.
_NOT_FOUND, _CONFLICT = 404, 409
#: Ends of the name of a whole recording, docs/api.md; its format decides which one it has.
_WHOLE_SUFFIXES = (".mp4", ".ts")
_NONE = "No recordings. `camera-agent record start CAMERA` starts one."


def add(commands: "Commands[Parser]") -> None:
    parser = add_command(commands, "recordings", _list, "List the recordings, newest first, or download one.")
    add_agent_options(parser)
    parser.add_argument("--device", type=camera_name, metavar="CAMERA", help="only recordings of this camera")
    parser.add_argument("--limit", type=number(int, 1, 1000), help="list at most this many; default: 50")
    below = parser.add_subparsers(title="commands", metavar="COMMAND")
    get = add_command(below, "get", _get, "Download a recording.")
    add_agent_options(get)
    get.add_argument("id", metavar="ID", help="id from `camera-agent recordings`")
    get.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="output file; segments that cannot be joined to one file become FILE, FILE-2 and so on",
    )


def _list(arguments: argparse.Namespace) -> int:
    import anyio

    listed = anyio.run(partial(_fetch, arguments))
    rows = [
        [each["filename"], duration(each["duration"]), size(each["file_size"]), each["format"]]
        for each in listed["files"]
    ]
    lines = table(["RECORDING", "DURATION", "SIZE", "FORMAT"], rows) if rows else [_NONE]
    if len(rows) < listed["total"]:
        lines.append(f"{len(rows)} of {listed['total']}; use --limit for more.")
    print_result(listed, lines, as_json=arguments.json)
    return 0


async def _fetch(arguments: argparse.Namespace) -> Any:
    given = {"device": arguments.device, "limit": arguments.limit}
    async with connected(arguments) as agent:
        return await agent.call(
            "list_recordings", **{name: value for name, value in given.items() if value is not None}
        )


def _get(arguments: argparse.Namespace) -> int:
    import anyio

    if arguments.output == "-":
        raise UsageFailed(
            "A recording cannot go to standard output: it may have several files.",
            suggestion="Name a file with -o.",
        )
    target = checked_target(Path(arguments.output))
    stored = anyio.run(partial(_download, arguments, target))
    lines = [one_line(f"{each['output']}: {size(each['file_size'])}") for each in stored]
    print_result({"filename": arguments.id, "files": stored}, lines, as_json=arguments.json)
    return 0


async def _download(arguments: argparse.Namespace, target: Path) -> list[dict[str, Any]]:
    """Download the recording as one file, or, if it cannot be joined, one file for each segment."""
    for suffix in () if "/" in arguments.id else _WHOLE_SUFFIXES:
        whole = await _whole(arguments, target, suffix)
        if whole is not None:
            return [_stored(target, whole.size_bytes)]
    return await _all_segments(arguments, target)


def _stored(path: Path, size_bytes: int) -> dict[str, Any]:
    return {"output": str(path), "file_size": size_bytes}


async def _whole(arguments: argparse.Namespace, path: Path, suffix: str) -> "Download | None":
    """Download the joined segments; return None if the agent does not join them."""
    from agent_core.client import DownloadFailed

    try:
        async with connected(arguments) as agent:
            with writing(path):
                return await agent.download_segment(path, f"{arguments.id}{suffix}")
    except DownloadFailed as error:
        if error.status not in {_NOT_FOUND, _CONFLICT}:
            raise
        return None


async def _all_segments(arguments: argparse.Namespace, target: Path) -> list[dict[str, Any]]:
    """Download one file after the other, each over a new connection: a local token is valid for a minute only."""
    stored: list[dict[str, Any]] = []
    following: str | None = arguments.id
    while following is not None:
        path = checked_target(segment_path(target, len(stored) + 1))
        async with connected(arguments) as agent:
            with writing(path):
                got = await _segment(agent, path, following)
        stored.append(_stored(path, got.size_bytes))
        following = got.next_url
    return stored


async def _segment(agent: "AgentClient", path: Path, name: str) -> "Download":
    from agent_core.client import DownloadFailed

    try:
        return await agent.download_segment(path, name)
    except DownloadFailed as error:
        if error.status != _NOT_FOUND:
            raise
        raise CommandFailed(
            f"There is no recording '{name}'.",
            reason="recording_not_found",
            suggestion="See `camera-agent recordings` for the recordings.",
        ) from error


def segment_path(path: Path, number: int) -> Path:
    """Return the path for segment `number`, from 1: a.mp4, a-2.mp4, a-3.mp4."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
