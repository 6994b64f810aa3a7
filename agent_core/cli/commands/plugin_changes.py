"""Commands `plugins install`, `remove`, `sync`, `enable` and `disable`."""

import argparse
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agent_core.cli.exits import CommandFailed, ExitCode
from agent_core.cli.loading import find_files, load_settings
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import one_line, print_result

if TYPE_CHECKING:
    from agent_core.cli.overlay.change import Outcome, PluginChanges

__all__ = ("add",)

T = TypeVar("T")

_RESTART = "Restart the agent to apply it."


def add(commands: "Commands[Parser]") -> None:
    """Add the commands to those of `plugins`."""
    install = add_command(
        commands,
        "install",
        _install,
        "Install plugins beside the agent's own, as root; enable them afterwards.",
    )
    install.add_argument(
        "dist", nargs="+", metavar="DIST", help="a distribution (name, name==1.2) or a wheel file"
    )
    _add_sources(install)
    remove = add_command(
        commands, "remove", _remove, "Remove installed plugins and what only they need, as root."
    )
    remove.add_argument("dist", nargs="+", metavar="DIST", help="a distribution, or its plugin")
    sync = add_command(
        commands,
        "sync",
        _sync,
        "Build the installed plugins anew, as root: after a change of Python, or to update them.",
    )
    sync.add_argument(
        "--check",
        action="store_true",
        help="change nothing: say why it is needed, with exit code 1, or that it is not; as any user",
    )
    for each in (remove, sync):
        _add_sources(each)
    for name, run, text in (
        ("enable", _enable, "Check an installed plugin and enable it."),
        ("disable", _disable, "Disable a plugin; it stays installed."),
    ):
        add_command(commands, name, run, text).add_argument("name", metavar="NAME", help="name of the plugin")


def _add_sources(parser: Parser) -> None:
    parser.add_argument(
        "--find-links",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="take wheels from this folder, and nothing from the network",
    )
    parser.add_argument("--index-url", metavar="URL", help="package index instead of the system's")
    parser.add_argument(
        "--allow-build", action="store_true", help="accept source code, which runs as root while it is built"
    )


def _install(arguments: argparse.Namespace) -> int:
    _, changes = _prepared(arguments)
    outcome = _carried_out(partial(changes.install, arguments.dist))
    _show(outcome, load_settings(arguments.config).plugins.enabled, as_json=arguments.json)
    return 0


def _sync(arguments: argparse.Namespace) -> int:
    if arguments.check:
        return _show_problems(as_json=arguments.json)
    _, changes = _prepared(arguments)
    outcome = _carried_out(changes.sync)
    _show(outcome, load_settings(arguments.config).plugins.enabled, as_json=arguments.json)
    failed = [each.name for each in outcome.statuses if each.reason]
    if failed:
        raise CommandFailed(
            f"The plugins are built, but cannot be used: {', '.join(failed)}.",
            reason="plugins_failed",
            suggestion="Follow the suggestion for each, or remove it.",
        )
    return 0


def _show_problems(*, as_json: bool) -> int:
    """Print why the plugins must be built anew. Reads metadata only: the package's scripts call it as root."""
    from agent_core.plugin_host.overlay.place import agents_place
    from agent_core.plugin_host.overlay.wanted import find_problems

    problems = find_problems(agents_place())
    rows = [
        {"reason": each.reason, "details": each.details, "suggestion": each.suggestion} for each in problems
    ]
    lines = [one_line(f"{each.details} {each.suggestion}") for each in problems]
    print_result(rows, lines or ["The installed plugins fit the agent."], as_json=as_json)
    return ExitCode.FAILED if problems else ExitCode.DONE


def _remove(arguments: argparse.Namespace) -> int:
    from agent_core.cli.overlay.switches import forget

    files, changes = _prepared(arguments)
    gone = _carried_out(partial(changes.remove, arguments.dist))
    _blocking(partial(forget, files, gone))
    lines = [f"Removed {', '.join(gone) or 'no plugin'}. {_RESTART}"]
    enabled = load_settings(arguments.config).plugins.enabled
    lines += [f"{name} is still in plugins.enabled: remove it there." for name in gone if name in enabled]
    print_result({"removed": gone}, lines, as_json=arguments.json)
    return 0


def _enable(arguments: argparse.Namespace) -> int:
    import anyio

    from agent_core.cli.overlay.change import require_owner
    from agent_core.cli.overlay.switches import switch
    from agent_core.cli.overlay.trial import try_plugins
    from agent_core.plugin_host.overlay.place import agents_place

    files, name, place = find_files(arguments.config), arguments.name, agents_place()
    enabled = load_settings(arguments.config).plugins.enabled
    require_owner(place)
    together = list(dict.fromkeys((*enabled, name)))  # its providers must not clash with those of the others
    status = anyio.run(partial(try_plugins, place, place.site_packages, together, files)).status(name)
    if status is not None and status.reason:
        raise CommandFailed(status.details, reason=status.reason, suggestion=status.suggestion)
    path = _blocking(partial(switch, files, name, on=True))
    _require_switched(arguments, on=True)
    print_result(
        {"name": name, "enabled": True, "file": str(path)},
        [f"Enabled {name}. {_RESTART}"],
        as_json=arguments.json,
    )
    return 0


def _disable(arguments: argparse.Namespace) -> int:
    from agent_core.cli.overlay.change import require_owner
    from agent_core.cli.overlay.switches import switch
    from agent_core.plugin_host.overlay.place import agents_place
    from agent_core.plugin_host.selection import installed_versions

    files, name = find_files(arguments.config), arguments.name
    config = load_settings(arguments.config)
    require_owner(agents_place())
    if name not in config.plugins.enabled and name not in installed_versions():
        raise CommandFailed(
            f"There is no plugin named '{name}'.",
            reason="not_installed",
            suggestion="See `camera-agent plugins list` for the names.",
        )
    path = _blocking(partial(switch, files, name, on=False))
    _require_switched(arguments, on=False)
    print_result(
        {"name": name, "enabled": False, "file": str(path)},
        [f"Disabled {name}. {_RESTART}"],
        as_json=arguments.json,
    )
    return 0


def _require_switched(arguments: argparse.Namespace, *, on: bool) -> None:
    if (arguments.name in load_settings(arguments.config).plugins.enabled) is not on:
        raise CommandFailed(
            f"The switch of '{arguments.name}' has no effect: a later file, or the environment, says otherwise.",
            reason="overridden",
            suggestion="Look for plugins.enable in the other files of conf.d, and in CAMERA_AGENT__PLUGINS__ENABLE__... .",
        )


def _prepared(arguments: argparse.Namespace) -> "tuple[Sequence[Path], PluginChanges]":
    """Return the configuration files and the changes that the arguments allow. Raises ConfigError."""
    from agent_core.cli.overlay.change import PluginChanges
    from agent_core.cli.overlay.pip import Sources
    from agent_core.plugin_host.overlay.place import agents_place

    files = find_files(arguments.config)
    load_settings(arguments.config)
    sources = Sources(tuple(arguments.find_links), arguments.index_url, allow_build=arguments.allow_build)
    return files, PluginChanges(agents_place(), files, sources)


def _carried_out(change: Callable[[], Coroutine[None, None, T]]) -> T:
    import anyio

    return _blocking(lambda: anyio.run(change))


def _blocking(change: Callable[[], T]) -> T:
    """Call `change`; raise an error of the disk as a sentence."""
    from agent_core.base.files import explain_os_error

    try:
        return change()
    except OSError as error:
        raise explain_os_error(error, "change the plugins") from error


def _show(outcome: "Outcome", enabled: Sequence[str], *, as_json: bool) -> None:
    rows = [
        {
            "name": each.name,
            "distribution": outcome.dists.get(each.name, ""),
            "state": str(each.state),
            "reason": each.reason,
            "details": each.details,
            "suggestion": each.suggestion,
        }
        for each in outcome.statuses
    ]
    print_result(rows, _lines(rows, enabled, outcome.skipped), as_json=as_json)


def _lines(rows: Sequence[dict[str, str]], enabled: Sequence[str], skipped: Sequence[str]) -> Iterable[str]:
    if not rows:
        yield "No plugin is installed beside the agent's own."
    for row in rows:
        name = row["name"]
        if row["reason"]:
            yield f"{row['distribution']}: {one_line(row['details'])} {one_line(row['suggestion'])}"
        elif name in enabled:
            yield f"{row['distribution']}: {name} is enabled. {_RESTART}"
        else:
            yield f"{row['distribution']}: enable it with `camera-agent plugins enable {name}`."
    for file in skipped:
        yield f"Left out {file}, which would have run code at each start of Python."
