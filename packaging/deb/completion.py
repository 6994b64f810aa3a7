"""Makes the completion of bash and of zsh from the command line's parsers."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from command_tree import Command, Option

__all__ = ("bash_completion", "zsh_completion")

_TEMPLATES = Path(__file__).parent / "completion"
_INDENT = " " * 8


def bash_completion(root: Command) -> str:
    """Return the file for /usr/share/bash-completion/completions."""
    return _filled(root, "bash.in", _bash_case)


def zsh_completion(root: Command) -> str:
    """Return the file for /usr/share/zsh/vendor-completions."""
    return _filled(root, "zsh.in", _zsh_case)


def _filled(root: Command, template: str, case: Callable[[Command], str]) -> str:
    """Return the template with the program's commands, the values of options, and a case for each command."""
    everything = [option for command in root.walk() for option in command.flagged]
    paths = [" ".join(each.words) for each in root.walk() if each.words]
    text = (_TEMPLATES / template).read_text()
    for name, value in (
        ("PATHS", " | ".join(shlex.quote(each) for each in paths)),
        ("VALUES", " | ".join(_flags(each for each in everything if each.value))),
        ("FILES", " | ".join(_flags(each for each in everything if each.is_file))),
        ("CHOICES", "\n".join(_choices(root))),
        ("COMMANDS", "\n".join(case(each) for each in root.walk())),
    ):
        text = text.replace(f"@{name}@", value)
    return text


def _flags(options: Iterable[Option]) -> list[str]:
    return sorted({flag for each in options for flag in each.flags})


def _choices(root: Command) -> Iterator[str]:
    """Yield a branch for each option of each command that has a set of values."""
    for command in root.walk():
        for option in command.flagged:
            if option.choices:
                pattern = " | ".join(shlex.quote(" ".join((*command.words, flag))) for flag in option.flags)
                yield f"{_INDENT}{pattern}) choices={shlex.quote(' '.join(option.choices))} ;;"


def _offered(command: Command) -> list[tuple[str, str]]:
    """Return the long options that may follow the command, with their help."""
    options = {each.flags[-1]: each.help for each in command.flagged}
    return sorted(options.items())


def _bash_case(command: Command) -> str:
    commands = " ".join(each.words[-1] for each in command.below)
    options = " ".join(flag for flag, _ in _offered(command))
    quoted = shlex.quote(" ".join(command.words))
    return f"{_INDENT}{quoted}) commands={shlex.quote(commands)} options={shlex.quote(options)} ;;"


def _zsh_case(command: Command) -> str:
    commands = " ".join(shlex.quote(f"{each.words[-1]}:{each.summary}") for each in command.below)
    options = " ".join(shlex.quote(f"{flag}:{text}") for flag, text in _offered(command))
    quoted = shlex.quote(" ".join(command.words))
    return f"{_INDENT}{quoted}) commands=({commands}) options=({options}) ;;"
