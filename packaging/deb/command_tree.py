"""The commands of the command line as data, read from its parsers: for the manual page and the completion."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Command", "Option", "command_tree")


@dataclass(frozen=True, slots=True)
class Option:
    """Option or argument of a command; an argument has no `flags`."""

    flags: tuple[str, ...]
    value: str | None
    choices: tuple[str, ...]
    help: str
    is_file: bool
    is_required: bool
    is_repeated: bool

    @property
    def synopsis(self) -> str:
        """The option as a line of usage shows it."""
        text = " ".join(each for each in (self.flags[-1] if self.flags else None, self.value) if each)
        text += " ..." if self.is_repeated else ""
        return text if self.is_required else f"[{text}]"


@dataclass(frozen=True, slots=True)
class Command:
    """Command with the commands below it; `words` are what is typed after the program's name."""

    words: tuple[str, ...]
    summary: str
    description: str
    options: tuple[Option, ...]
    below: tuple["Command", ...]
    runs_alone: bool

    def walk(self) -> Iterator["Command"]:
        """Yield this command and all below it."""
        yield self
        for each in self.below:
            yield from each.walk()

    @property
    def arguments(self) -> tuple[Option, ...]:
        """Those that are given by their place."""
        return tuple(each for each in self.options if not each.flags)

    @property
    def flagged(self) -> tuple[Option, ...]:
        """Those that are given by a flag."""
        return tuple(each for each in self.options if each.flags)


def command_tree(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), summary: str = "") -> Command:
    """Return the command that `parser` parses, with those below it."""
    actions = parser._actions  # noqa: SLF001 - argparse shows its tree nowhere else
    groups = [each for each in actions if isinstance(each, argparse._SubParsersAction)]  # noqa: SLF001
    below: list[Command] = []
    for group in groups:
        summaries = {each.dest: each.help or "" for each in group._choices_actions}  # noqa: SLF001
        below.extend(
            command_tree(child, (*words, name), summaries.get(name, ""))
            for name, child in group.choices.items()
        )
    return Command(
        words=words,
        summary=summary,
        description=(parser.description or "").strip(),
        options=tuple(_option(parser, each) for each in actions if each not in groups),
        below=tuple(below),
        runs_alone=not any(each.required for each in groups),
    )


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    takes_value = action.nargs != 0
    choices = tuple(str(each) for each in action.choices or ())
    return Option(
        flags=tuple(action.option_strings),
        value=_value(action, choices) if takes_value else None,
        choices=choices,
        help=parser._get_formatter()._expand_help(action) if action.help else "",  # noqa: SLF001
        is_file=takes_value and (action.type is Path or _value(action, choices) == "FILE"),
        is_required=(not action.option_strings and action.nargs not in ("?", "*"))
        or (action.required and bool(action.option_strings)),
        is_repeated=action.nargs in ("*", "+"),
    )


def _value(action: argparse.Action, choices: Sequence[str]) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(choices) if choices else action.dest.upper()
