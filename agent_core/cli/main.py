"""Command line: from arguments to an exit code."""

import argparse
import sys
from collections.abc import Sequence

from agent_core import __version__
from agent_core.base.errors import AgentError
from agent_core.cli.commands import (
    calls,
    cameras,
    controls,
    doctor,
    keys,
    links,
    plugins,
    record,
    recordings,
    reload,
    run,
    snapshot,
    streams,
    tokens,
    version,
    view_links,
)
from agent_core.cli.commands import config as configuration
from agent_core.cli.exits import ExitCode, Failure, exit_code, explain
from agent_core.cli.options import (
    EXIT_CODES,
    Commands,
    Parser,
    add_agent_options,
    add_common_options,
    first_word,
)
from agent_core.cli.output import one_line
from agent_core.cli.standard_streams import (
    let_go_of_stdout,
    open_missing_streams,
    print_error,
    writing_output,
)

__all__ = ("main",)

_TEXT = """\
Run a camera agent, or talk to one.

On the agent's own host no token is needed if you can read the agent's state folder. On
other hosts give --url, and a token with --token-file or in CAMERA_AGENT_TOKEN.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Print errors to standard error, without a traceback."""
    open_missing_streams()
    as_json = "--json" in arguments
    try:
        return _run(arguments)
    except AgentError as error:
        return _report(error, exit_code(error), as_json=as_json)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        let_go_of_stdout()
        return ExitCode.BROKEN_PIPE
    except Exception as error:
        failure = _client_error(error)
        if failure is None:
            raise
        return _report(failure, exit_code(failure), as_json=as_json)


def _run(arguments: Sequence[str]) -> int:
    parsed = _parser_for(arguments).parse_args(arguments, _defaults())
    code = int(parsed.run(parsed))
    with writing_output():
        sys.stdout.flush()
    return code


def _parser_for(arguments: Sequence[str]) -> Parser:
    """Return the parser, with the commands of other distributions only if `arguments` begin with none of the agent's."""
    parser, commands = _tree()
    word = first_word(parser, arguments)
    if not word or word in commands.choices:
        return parser
    from agent_core.cli.added import find_commands, with_commands

    found = find_commands(_warn)
    named = [each for each in found if each.name == word]
    return with_commands(_tree, named or found, _warn)


def _warn(text: str) -> None:
    print_error(f"camera-agent: warning: {one_line(text)}")


def _defaults() -> argparse.Namespace:
    return argparse.Namespace(json=False, config=None, url=None, token_file=None)


def _parser() -> Parser:
    return _tree()[0]


def _whole_parser() -> Parser:
    """Return the parser with the commands of all installed distributions, for documents. Raises ValueError if one is broken."""
    from agent_core.cli.added import find_commands, with_commands

    def refuse(text: str) -> None:
        raise ValueError(text)

    return with_commands(_tree, find_commands(refuse), refuse)


def _tree() -> "tuple[Parser, Commands[Parser]]":
    parser = Parser(
        prog="camera-agent",
        description=_TEXT,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"camera-agent {__version__}")
    add_common_options(parser)
    add_agent_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        run,
        reload,
        configuration,
        cameras,
        controls,
        snapshot,
        record,
        recordings,
        streams,
        calls,
        tokens,
        keys,
        links,
        view_links,
        plugins,
        doctor,
    ):
        module.add(commands)
    version.add(commands)
    return parser, commands


def _client_error(error: Exception) -> Failure | None:
    """Return `error` if it is a ClientError; that module is loaded only then."""
    module = sys.modules.get("agent_core.client.errors")
    return error if module is not None and isinstance(error, module.ClientError) else None


def _report(error: Failure, code: ExitCode, *, as_json: bool) -> ExitCode:
    print_error(explain(error, code, as_json=as_json))
    return code
