"""The parser, the options that commands share, and what a command module looks like."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from agent_core.cli.exits import UsageFailed

__all__ = (
    "EXIT_CODES",
    "Commands",
    "Parser",
    "add_agent_options",
    "add_command",
    "add_common_options",
    "camera_name",
    "first_word",
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
    """Parser that raises UsageFailed instead of ending the process, so that all errors look alike.

    Options may also stand before the last words of a list: `controls camera0 --reset brightness=3`.
    """

    _is_mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse `args`, see argparse; it takes a list of no words for complete at the first option."""
        if self._is_mixing or not any(each.nargs == "*" for each in self._get_positional_actions()):
            return super().parse_known_args(args, namespace)
        self._is_mixing = True  # the next call calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_mixing = False

    def error(self, message: str) -> NoReturn:
        raise UsageFailed(f"{message[:1].upper()}{message[1:]}.", suggestion=f"See `{self.prog} --help`.")


#: Result of `add_subparsers`; each command module has `add(commands)`.
Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_command(
    commands: "Commands[Parser]", name: str, run: Callable[[argparse.Namespace], int], text: str
) -> Parser:
    """Add the command `name`, carried out by `run`; `text` is one sentence. Return its parser."""
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
    """Add --json and --config. They may be before or after the command: no default here overrides the former."""
    absent = argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=absent, help="print one JSON value")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", default=absent, help="read this file instead of the usual ones"
    )


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Add --url and --token-file, which may also be before the command."""
    absent = argparse.SUPPRESS
    parser.add_argument(
        "--url", default=absent, help="address of the agent, ws://HOST:8002/ws; also CAMERA_AGENT_URL"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        default=absent,
        help="file with a token or API key; or set CAMERA_AGENT_TOKEN to the token",
    )


def camera_name(text: str) -> str:
    """Return `text`, an argument, if it is a camera's name. Raises UsageFailed."""
    from agent_core.base.models import CAMERA_ID

    if not CAMERA_ID.fullmatch(text):
        raise UsageFailed(
            f"'{text}' is not a camera's name; a name looks like camera0.",
            reason="bad_camera_name",
            suggestion="See `camera-agent cameras` for the names.",
        )
    return text


def number(kind: type[N], low: N, high: N) -> Callable[[str], N]:
    """Return an argument type for numbers from `low` to `high`."""

    def parse(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
        return value

    return parse


def first_word(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> str:
    """Return the first argument that is neither an option of `parser` nor the value of one; empty without one."""
    flags = {flag: action for action in parser._actions for flag in action.option_strings}  # noqa: SLF001 - no public way
    words = iter(arguments)
    for word in words:
        action = flags.get(word.partition("=")[0])
        if action is None or isinstance(action, argparse._HelpAction):  # noqa: SLF001
            return word
        if action.nargs != 0 and "=" not in word:
            next(words, None)
    return ""
