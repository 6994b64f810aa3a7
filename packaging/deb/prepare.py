"""Prepares the source tree from which dpkg-buildpackage makes the packages: tree/PACKAGE for each, and debian/."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from assemble import assemble, require_locked
from contents import Distribution, Package, distribution, packages, plugins_apart, plugins_suggested
from control import write_control
from licences import Licences, copyright_file
from native import system_packages
from shipped import add_agent_files, add_plugin_files
from sources import require_marks

__all__ = ("prepare",)

_HERE = Path(__file__).parent
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_SITE = "usr/lib/camera-agent/site-packages"


def main() -> None:
    """Prepare the tree that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--wheels", "--own", "--source"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--date", required=True, help="day of the changelog's entry, such as 2026-11-30")
    given = parser.parse_args()
    locked = sorted(given.wheels.glob("*.whl"))
    require_locked(locked, (_HERE / "requirements.lock").read_text())
    own = sorted(given.own.glob("*.whl"))
    root = _HERE.parents[1]
    apart, suggested = plugins_apart(root), plugins_suggested(root)
    prepare(locked, own, given.source, apart, Licences.read(), given.date, suggested)


def prepare(
    locked: list[Path],
    own: list[Path],
    source: Path,
    apart: frozenset[str],
    licences: Licences,
    date: str,
    suggested: frozenset[str] = frozenset(),
) -> list[Package]:
    """Fill `source`, which has a copy of debian/, and return the packages, the agent's first.

    Args:
        locked: wheels of other projects.
        own: wheels of this project.
        source: folder for dpkg-buildpackage.
        apart: names of the plugins' distributions that have a package of their own.
        licences: licences of what is in `locked`.
        date: day of the release.
        suggested: those of `apart` that the agent's package does not recommend.

    Raises:
        ValueError: the wheels do not fit together, something is missing, or a licence or a source is unknown.
    """
    require_marks(locked, licences)
    wheels = {path: distribution(path, _python(path)) for path in (*locked, *own)}
    names = frozenset(wheels[path].name for path in own)
    found = packages(wheels.values(), names, apart)
    trees = {each.name: source / "tree" / each.name for each in found}
    agent, *plugins = found
    for each in found:
        chosen = [path for path, read in wheels.items() if read.name in each.distributions]
        assemble(chosen, trees[each.name] / _SITE)
        whole = _bundled(wheels) if each == agent else []
        text = copyright_file(each.name, chosen, names, licences, whole)
        (source / f"debian/{each.name}.copyright").write_text(text)
    add_agent_files(trees[agent.name], wheels.values(), _bundled(wheels), date)
    for each in plugins:
        add_plugin_files(trees[each.name], each)
    present = trees[agent.name]
    needed = {name: system_packages(tree, present=[present]) for name, tree in trees.items()}
    write_control(found, needed, source / "debian", suggested)
    return found


def _bundled(wheels: Mapping[Path, Distribution]) -> list[Path]:
    """Return the wheels that a package contains as they are."""
    return [path for path, read in wheels.items() if read.name == "pip"]


def _python(wheel: Path) -> str:
    """Return the Python version that a wheel's name gives, else the oldest supported."""
    tag = wheel.name.split("-")[-3]
    return next((each for each in _PYTHONS if tag == f"cp{each.replace('.', '')}"), _PYTHONS[0])


if __name__ == "__main__":
    main()
