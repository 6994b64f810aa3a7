"""Commands `record start` and `record stop`."""

import argparse
import sys
from functools import partial
from typing import Any

from agent_core.cli.access import connected
from agent_core.cli.exits import CommandFailed, ExitCode
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command, camera_name, number
from agent_core.cli.output import duration, one_line, print_result, size
from agent_core.cli.standard_streams import print_error

__all__ = ("add",)

_CAMERA = "for example camera0; `camera-agent cameras` lists them"


def add(commands: "Commands[Parser]") -> None:
    parser: Parser = commands.add_parser("record", help="Record a camera.", description="Record a camera.")
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    start = add_command(
        below, "start", _start, "Start a recording and print its id, or with --wait its files."
    )
    add_agent_options(start)
    start.add_argument("camera", type=camera_name, metavar="CAMERA", help=_CAMERA)
    start.add_argument(
        "--duration",
        type=number(int, 1, 86_400),
        metavar="S",
        help="seconds from the first picture to the end",
    )
    start.add_argument(
        "--format", choices=("fmp4", "mpegts"), help="default: fmp4, or mpegts for a camera with KLV data"
    )
    start.add_argument(
        "--wait",
        action="store_true",
        help="wait until it has stopped; Ctrl-C stops it, a second Ctrl-C ends the command",
    )
    stop = add_command(below, "stop", _stop, "Stop a camera's recording and print its files.")
    add_agent_options(stop)
    stop.add_argument("camera", type=camera_name, metavar="CAMERA", help=_CAMERA)


def _start(arguments: argparse.Namespace) -> int:
    import anyio

    if not arguments.wait:
        started = anyio.run(partial(_begin, arguments))
        print_result(started, [started["filename"]], as_json=arguments.json)
        return ExitCode.DONE
    info, was_cut = anyio.run(partial(_record, arguments))
    if info is None:
        return ExitCode.INTERRUPTED
    _print_files(info, as_json=arguments.json)
    return ExitCode.INTERRUPTED if was_cut else ExitCode.DONE


def _wanted(arguments: argparse.Namespace) -> dict[str, object]:
    given = {"duration": arguments.duration, "format": arguments.format}
    return {"device": arguments.camera, **{name: value for name, value in given.items() if value is not None}}


async def _begin(arguments: argparse.Namespace) -> Any:
    async with connected(arguments) as agent:
        return await agent.call("start_recording", **_wanted(arguments))


async def _record(arguments: argparse.Namespace) -> tuple[Any, bool]:
    """Return the recording's info (None after a second Ctrl-C), and True if Ctrl-C cut its duration short."""
    from anyio import CancelScope

    from agent_core.cli.commands.recorder import Recorder, in_two_steps
    from agent_core.cli.output import Progress

    async with connected(arguments) as agent:
        progress = Progress(None if arguments.json else sys.stderr)
        recorder = Recorder(agent, arguments, _wanted(arguments), progress)
        interrupted = False

        async def work(first: CancelScope) -> Any:
            nonlocal interrupted
            info = await recorder.record(first)
            interrupted = first.cancel_called
            return info

        info = await in_two_steps(work)
        return info, interrupted and arguments.duration is not None


def _stop(arguments: argparse.Namespace) -> int:
    import anyio

    _print_files(anyio.run(partial(_end, arguments)), as_json=arguments.json)
    return ExitCode.DONE


async def _end(arguments: argparse.Namespace) -> Any:
    async with connected(arguments) as agent:
        return await agent.call("stop_recording", device=arguments.camera)


def _print_files(recording: Any, *, as_json: bool) -> None:
    """Print the recorded files. Raises CommandFailed if there are none."""
    name, segments = recording["filename"], recording["segments"]
    if not segments:
        reason = recording.get("reason") or "no_segments"
        raise CommandFailed(
            f"The recording {name} has no picture: {reason}.",
            reason=reason,
            suggestion=f"See `camera-agent call get_stream_status device={recording['device']}` and the agent's log.",
        )
    lines = [
        one_line(f"{name}/{each['filename']}: {duration(each['duration'])}, {size(each['file_size'])}")
        for each in segments
    ]
    print_result(recording, lines, as_json=as_json)
    if recording.get("reason") and not as_json:
        print_error(one_line(f"The recording {name} is not complete: {recording['reason']}."))
