"""Command `doctor`."""

import argparse
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agent_core.cli.exits import CommandFailed
from agent_core.cli.loading import find_files, load_settings
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command
from agent_core.cli.output import one_line, print_result, table

if TYPE_CHECKING:
    from agent_core.plugin import Finding

__all__ = ("add",)


def add(commands: "Commands[Parser]") -> None:
    add_agent_options(
        add_command(
            commands,
            "doctor",
            _doctor,
            "Check this host, the plugins and the running agent; report problems and how to solve them.",
        )
    )


def _doctor(arguments: argparse.Namespace) -> int:
    import anyio

    from agent_core.cli.checks.agent import examine

    files = find_files(arguments.config)
    config = load_settings(arguments.config)
    findings = anyio.run(partial(examine, arguments, config, files))
    print_result([_row(each) for each in findings], _lines(findings), as_json=arguments.json)
    failed = [each for each in findings if each.status == "FAILED"]
    if failed:
        raise CommandFailed(
            f"{len(failed)} of {len(findings)} checks failed.",
            reason="problems_found",
            suggestion="Follow the suggestion for each; a running agent notices most repairs by itself.",
        )
    return 0


def _row(finding: "Finding") -> dict[str, str]:
    return {
        "name": finding.name,
        "status": str(finding.status),
        "detail": finding.detail,
        "suggestion": finding.suggestion,
    }


def _lines(findings: "Sequence[Finding]") -> Iterable[str]:
    yield from table(
        ("STATUS", "WHAT", "DETAIL"), [(each.status, each.name, each.detail) for each in findings]
    )
    for each in findings:
        if each.suggestion:
            yield f"{one_line(each.name)}: {one_line(each.suggestion)}"
