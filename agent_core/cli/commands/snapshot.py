"""Command `snapshot`."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_core.cli.access import connected
from agent_core.cli.exits import UsageFailed
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command, camera_name, number
from agent_core.cli.output import one_line, print_result, size
from agent_core.cli.standard_streams import writing_output
from agent_core.cli.targets import checked_target, writing

if TYPE_CHECKING:
    from agent_core.client import AgentClient

__all__ = ("add",)

_STDOUT = "-"
_PASSED_ON = ("format", "quality", "width", "height", "max_age_ms", "deadline_ms")


def add(commands: "Commands[Parser]") -> None:
    parser = add_command(commands, "snapshot", _snapshot, "Take a picture and store it on this machine.")
    add_agent_options(parser)
    parser.add_argument(
        "camera",
        type=camera_name,
        metavar="CAMERA",
        help="for example camera0; `camera-agent cameras` lists them",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="output file, written once the picture is complete; - for stdout",
    )
    parser.add_argument(
        "--format", choices=("jpg", "png"), help="default: by the suffix of FILE, or else jpg"
    )
    parser.add_argument("--quality", type=number(int, 1, 100), help="JPEG quality, 1 to 100")
    parser.add_argument("--width", type=number(int, 1, 8192), help="pixels; without --height, in proportion")
    parser.add_argument("--height", type=number(int, 1, 8192), help="pixels; without --width, in proportion")
    parser.add_argument(
        "--max-age-ms",
        type=number(int, 0, 3_600_000),
        help="greatest age of the picture; 0: exposed after the call; default: as configured",
    )
    parser.add_argument(
        "--deadline-ms",
        type=number(int, 1, 120_000),
        help="limit for taking the picture; default: as configured",
    )


def _snapshot(arguments: argparse.Namespace) -> int:
    import anyio

    target = None if arguments.output == _STDOUT else checked_target(Path(arguments.output))
    if target is None and arguments.json:
        raise UsageFailed(
            "The picture and the JSON cannot both go to standard output.",
            suggestion="Name a file with -o, or omit --json.",
        )
    if arguments.format is None and target is not None and target.suffix.lower() == ".png":
        arguments.format = "png"
    taken = anyio.run(partial(_take, arguments, target))
    if target is not None:
        print_result({**taken, "output": str(target)}, [_summary(taken, target)], as_json=arguments.json)
    return 0


async def _take(arguments: argparse.Namespace, target: Path | None) -> Any:
    wanted = {name: getattr(arguments, name) for name in _PASSED_ON if getattr(arguments, name) is not None}
    async with connected(arguments) as agent:
        taken = await agent.call("take_snapshot", device=arguments.camera, **wanted)
        if target is None:
            content = await agent.download(
                taken.get("download_url", taken["filename"]), size_bytes=taken["file_size"]
            )
            with writing_output():
                sys.stdout.buffer.write(content)
        else:
            await _store(agent, taken, target)
    return taken


async def _store(agent: "AgentClient", taken: Any, target: Path) -> None:
    with writing(target):
        await agent.download_to(
            target, taken.get("download_url", taken["filename"]), size_bytes=taken["file_size"]
        )


def _summary(taken: Any, target: Path) -> str:
    what = f"{taken['device']}, {taken['resolution']}, {size(taken['file_size'])}"
    return one_line(f"{target}: {what}, {taken['age_ms']} ms old, tier {taken['tier_name']}")
