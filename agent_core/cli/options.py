"""The parser, the options that commands share, and what a command module looks like."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from agent_core.cli.exits import UsageFailed

__all__ = (
    "EXIT_CODES",
    "Commands",
    "Parser",
    "add_agent_options",
    "add_command",
    "add_common_options",
    "camera_name",
    "number",
)

EXIT_CODES = """\
exit codes:
  0  done
  1  failed: the agent answered with an error, nothing was recorded, or the result could not be stored
  2  wrong usage
  3  the agent cannot be reached, or the connection was lost
  4  authentication or permission
  5  the configuration is invalid
  6  the agent could not start
"""

N = TypeVar("N", int, float)


class Parser(argparse.ArgumentParser):
    """Raises instead of ending the process, so that a mistake is shown like any other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageFailed(f"{message[:1].upper()}{message[1:]}.", suggestion=f"See `{self.prog} --help`.")


#: What `add_subparsers` returns; each command module has `add(commands)`.
Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_command(
    commands: "Commands[Parser]", name: str, run: Callable[[argparse.Namespace], int], text: str
) -> Parser:
    """A command `name` that `run` carries out; `text` is one sentence."""
    parser: Parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    add_common_options(parser)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """They may stand before and after the command: absent after it, they must not hide what stood before."""
    absent = argparse.SUPPRESS
    parser.add_argument(
        "--json", action="store_true", default=absent, help="one JSON value on standard output"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=absent, help="read this file instead of the usual ones"
    )


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    absent = argparse.SUPPRESS
    parser.add_argument(
        "--url", default=absent, help="the agent's WebSocket, ws://HOST:8002/ws; also CAMERA_AGENT_URL"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        default=absent,
        help="a file with a token or API key; also the token itself in CAMERA_AGENT_TOKEN",
    )


def camera_name(text: str) -> str:
    """An argument's type: the name of a camera. Raises UsageFailed."""
    from agent_core.base.models import CAMERA_ID

    if not CAMERA_ID.fullmatch(text):
        raise UsageFailed(
            f"'{text}' is not a camera's name; names look like camera0.",
            reason="bad_camera_name",
            suggestion="See `camera-agent cameras` for the names.",
        )
    return text


def number(kind: type[N], low: N, high: N) -> Callable[[str], N]:
    """An argument's type: a number from `low` to `high`."""

    def parse(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
        return value

    return parse
