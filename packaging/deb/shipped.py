"""Adds the files of the packages that are not Python libraries: programs, configuration, manual pages, documents."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from agent_core import __version__
from agent_core.cli.commands.config import schema_with
from agent_core.cli.main import _whole_parser
from agent_core.cli.options import EXIT_CODES
from agent_core.config import AgentConfig
from command_tree import command_tree
from completion import bash_completion, zsh_completion
from contents import Distribution, Package
from control import filled
from manual import command_page, configuration_page

__all__ = ("add_agent_files", "add_plugin_files")

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_RTUPDATE = "usr/share/python3/runtime.d"


def add_agent_files(
    tree: Path, distributions: Iterable[Distribution], bundled: Iterable[Path], date: str
) -> None:
    """Add the agent's own files to `tree`, and the versions that plugins may not replace.

    Args:
        tree: contents of the agent's package.
        distributions: everything that the packages contain.
        bundled: wheels that are included as they are, such as pip's; plugins are not bound to their versions.
        date: day of the release, for the manual pages.
    """
    distributions, bundled = list(distributions), list(bundled)
    _write(tree / "usr/bin/camera-agent", (_HERE / "launcher").read_text(), mode=0o755)
    _write(tree / "etc/camera-agent/config.toml", (_HERE / "config.toml").read_text())
    _add_rtupdate(tree, "camera-agent")
    for each in bundled:
        _copy(each, tree / "usr/lib/camera-agent/wheels" / each.name)
    left_out = {each.name.partition("-")[0] for each in bundled}
    bound = {each.name: each.version for each in distributions if each.name not in left_out}
    constraints = "".join(f"{name}=={version}\n" for name, version in sorted(bound.items()))
    _write(tree / "usr/lib/camera-agent/constraints.txt", constraints)
    plugins = sorted({name for each in distributions for name in each.plugins})
    for path, text in _pages(plugins, date).items():
        _write(tree / path, text)
    _add_documents(tree / "usr/share/doc/camera-agent")


def add_plugin_files(tree: Path, package: Package) -> None:
    """Add to `tree` what a plugin's own package has beside its libraries."""
    for name in package.plugins:
        text = filled(_HERE / "plugin.in/enable.toml", PLUGIN=name)
        _write(tree / f"usr/share/camera-agent/conf.d/50-{name}.toml", text)
    _add_rtupdate(tree, package.name)


def _add_rtupdate(tree: Path, package: str) -> None:
    text = filled(_HERE / "rtupdate.in", PACKAGE=package)
    _write(tree / _RTUPDATE / f"{package}.rtupdate", text, mode=0o755)


def _pages(plugins: list[str], date: str) -> dict[str, str]:
    """Return manual pages and completions by their paths."""
    root = command_tree(_whole_parser())
    # The folder is only there so that an account without a home can build.
    config = AgentConfig.model_validate(
        {"plugins": {"enabled": plugins}, "storage": {"state_dir": "/var/lib/camera-agent/state"}}
    )
    service = filled(_HERE / "man/camera-agent.service.8", DATE=date, VERSION=__version__)
    return {
        "usr/share/man/man1/camera-agent.1": command_page(
            root, date=date, version=__version__, exit_codes=EXIT_CODES
        ),
        "usr/share/man/man5/camera-agent-config.5": configuration_page(
            schema_with(config), date=date, version=__version__
        ),
        "usr/share/man/man8/camera-agent.service.8": service,
        "usr/share/bash-completion/completions/camera-agent": bash_completion(root),
        "usr/share/zsh/vendor-completions/_camera-agent": zsh_completion(root),
    }


def _add_documents(folder: Path) -> None:
    for path in sorted((_ROOT / "docs").glob("*.md")):
        _copy(path, folder / path.name)
    _copy(_ROOT / "CHANGELOG.md", folder / "CHANGELOG.md")
    examples = [(_ROOT / f"examples/{name}", name) for name in ("hello_page", "hello_plugin")]
    for source, target in (*examples, (_HERE / "examples", "")):
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                _copy(path, folder / "examples" / target / path.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
