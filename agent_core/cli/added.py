"""Commands that other distributions add to the command line, by entry points of the group `camera_agent.commands`.

Nothing here is imported, and no distribution is looked at, for the agent's own commands. A distribution that fails costs only its own
command, and cannot replace one that is there.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_core.cli.commands.calls import parse_params
from agent_core.cli.options import Commands, Parser, add_command, camera_name, number
from agent_core.cli.output import CommandPrinter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from agent_core.plugin.commands import CommandGroup, CommandKit, RunCommand

__all__ = ("ENTRY_POINT_GROUP", "AddedCommand", "find_commands", "with_commands")

ENTRY_POINT_GROUP = "camera_agent.commands"

Warn = Callable[[str], None]
#: Parser of the whole command line, and its commands.
Tree = tuple[Parser, "Commands[Parser]"]


class _Unusable(Exception):
    """Command that cannot be added; the message is a clause."""


@dataclass(frozen=True, slots=True)
class AddedCommand:
    """Command of another distribution: `load` imports and returns its function `add(kit)`."""

    name: str
    owner: str
    load: Callable[[], Any]


def find_commands(warn: Warn) -> list[AddedCommand]:
    """Return the commands that the installed distributions offer, without importing them; sorted by name."""
    by_name: dict[str, list[EntryPoint]] = {}
    for each in _offered(warn):
        by_name.setdefault(each.name, []).append(each)
    found = []
    for name, offers in sorted(by_name.items()):
        owners = sorted(_owner(each) for each in offers)
        if len(offers) == 1:
            found.append(AddedCommand(name, owners[0], offers[0].load))
        else:
            warn(
                f"The command '{name}' is left out: {' and '.join(owners)} both offer it. Remove one of them."
            )
    return found


def _offered(warn: Warn) -> "Iterable[EntryPoint]":
    """Return the entry points of all distributions; warn of those whose metadata is damaged, and pass them over."""
    from importlib.metadata import distributions, entry_points

    try:
        return entry_points(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - damage of any kind, in any of them; one by one is slower
        found: dict[str, Iterable[EntryPoint]] = {}
        for each in distributions():
            name = "a distribution without a name"
            try:
                name = each.name or name
                found.setdefault(name, each.entry_points.select(group=ENTRY_POINT_GROUP))
            except Exception as error:  # noqa: BLE001 - see above
                warn(
                    f"The commands of {name} are left out: {_described(error)}. Install it again, or remove it."
                )
        return [entry for offers in found.values() for entry in offers]


def _owner(entry: "EntryPoint") -> str:
    try:
        return entry.dist.name if entry.dist is not None else entry.value
    except (KeyError, TypeError, ValueError):  # of damaged metadata; depends on the Python version
        return entry.value


def with_commands(make: Callable[[], Tree], found: Sequence[AddedCommand], warn: Warn) -> Parser:
    """Return the parser that `make` makes, with those commands that can be added to it; warn of the others."""
    good: list[tuple[str, Callable[[CommandKit], None]]] = []
    for each in found:
        try:
            add = each.load()
            _extended(make(), [*good, (each.name, add)])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; only this command fails
            warn(
                f"The command '{each.name}' of {each.owner} is left out: {_described(error)}. "
                f"Install another version of {each.owner}, or remove it."
            )
        else:
            good.append((each.name, add))
    return _extended(make(), good)


def _described(error: BaseException) -> str:
    said = str(error).strip().rstrip(".")
    return said if isinstance(error, _Unusable) else f"{type(error).__name__}: {said}"


def _extended(tree: Tree, chosen: Sequence[tuple[str, Callable[["CommandKit"], None]]]) -> Parser:
    """Return the parser with the commands added; raise any exception of theirs."""
    parser, commands = tree
    for name, add in chosen:
        if name in commands.choices:
            raise _Unusable("the agent has a command of that name")
        add(_Kit(name, parser, commands))
        if name not in commands.choices:
            raise _Unusable("it adds no command")
    return parser


@dataclass(slots=True)
class _Kit:
    """Implementation of `CommandKit` for one command."""

    name: str
    _root: Parser
    _commands: "Commands[Parser]"
    _shared: list[Callable[[argparse.ArgumentParser], None]] = field(default_factory=list)

    def command(self, run: "RunCommand", text: str) -> argparse.ArgumentParser:
        return _added(self._commands, self.name, run, text, self._shared)

    def group(self, text: str) -> "CommandGroup":
        parser: Parser = self._commands.add_parser(self.name, help=text, description=text)
        below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        return _Group(below, self._shared)

    def options(self, add: Callable[[argparse.ArgumentParser], None]) -> None:
        add(self._root)
        self._shared.append(add)

    @property
    def number(self) -> Callable[..., Any]:
        return number

    def camera_name(self, text: str) -> str:
        return camera_name(text)

    def parse_params(self, words: list[str]) -> dict[str, object]:
        return parse_params(words)


@dataclass(frozen=True, slots=True)
class _Group:
    """Implementation of `CommandGroup`."""

    _commands: "Commands[Parser]"
    _shared: Sequence[Callable[[argparse.ArgumentParser], None]]

    def add(self, name: str, run: "RunCommand", text: str) -> argparse.ArgumentParser:
        return _added(self._commands, name, run, text, self._shared)


def _added(
    commands: "Commands[Parser]",
    name: str,
    run: "RunCommand",
    text: str,
    shared: Sequence[Callable[[argparse.ArgumentParser], None]],
) -> Parser:
    def started(arguments: argparse.Namespace) -> int:
        return run(arguments, CommandPrinter(as_json=arguments.json))

    parser = add_command(commands, name, started, text)
    for add in shared:
        add(parser)
    return parser
