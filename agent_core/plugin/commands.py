"""Commands that a distribution adds to `camera-agent`, by an entry point of the group `camera_agent.commands`.

The entry point's name is the command's word, and it names a function `add(kit: CommandKit)`. The command line calls it only to run
that command, for `--help`, and if it does not know the command: its module should import little, and the rest when the command runs.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from agent_core.base.command_errors import CommandFailed, Unreachable, UsageFailed
from agent_core.base.errors import AuthenticationFailed, PermissionDenied

__all__ = (
    "AuthenticationFailed",
    "CommandFailed",
    "CommandGroup",
    "CommandKit",
    "CommandOutput",
    "PermissionDenied",
    "RunCommand",
    "Unreachable",
    "UsageFailed",
)

NumberT = TypeVar("NumberT", int, float)


class CommandOutput(Protocol):
    """Output of a running command. New in 1.4."""

    @property
    def as_json(self) -> bool:
        """True with `--json`."""
        ...

    def print_result(self, value: object, lines: Iterable[str]) -> None:
        """Print `value` as one line of JSON with `--json`, or else `lines`, without the control characters in them."""
        ...

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
        """Return the lines of a table with aligned columns."""
        ...

    def one_line(self, text: object) -> str:
        """Return `text` on one line without control characters."""
        ...

    def note(self, text: str) -> None:
        """Print a line for people to standard error, and nothing with `--json`."""
        ...


#: Carries out a command and returns the exit code: 0, or 1 for a failure that its output tells. Other failures are raised:
#: `UsageFailed` (2), `Unreachable` (3), `AuthenticationFailed` and `PermissionDenied` (4), and any other `AgentError` (1).
RunCommand = Callable[[argparse.Namespace, CommandOutput], int]


class CommandGroup(Protocol):
    """Commands below a word, such as `list` in `camera-agent fleet list`. New in 1.4."""

    def add(self, name: str, run: RunCommand, text: str) -> argparse.ArgumentParser:
        """Add the command `name`; `text` is one sentence. Return its parser, for the command's own arguments."""
        ...


class CommandKit(Protocol):
    """Means by which a function `add` describes its command; the command line gives it. New in 1.4."""

    @property
    def name(self) -> str:
        """Word of the command, from the entry point."""
        ...

    def command(self, run: RunCommand, text: str) -> argparse.ArgumentParser:
        """Add a command without others below it; `text` is one sentence. Return its parser."""
        ...

    def group(self, text: str) -> CommandGroup:
        """Add a command that has others below it, each added to the result."""
        ...

    def options(self, add: Callable[[argparse.ArgumentParser], None]) -> None:
        """Add options that may stand before the command, too; call it before `command` or `group`.

        Args:
            add: adds them to a parser, with `default=argparse.SUPPRESS`. It is called for several parsers.
        """
        ...

    def number(self, kind: type[NumberT], low: NumberT, high: NumberT) -> Callable[[str], NumberT]:
        """Return an argument type for numbers from `low` to `high`."""
        ...

    def camera_name(self, text: str) -> str:
        """Return `text`, an argument, if it is a camera's name. Raises UsageFailed."""
        ...

    def parse_params(self, words: list[str]) -> dict[str, object]:
        """Return words of the form KEY=VALUE as parameters of a call; a value is JSON, or else text. Raises UsageFailed."""
        ...
