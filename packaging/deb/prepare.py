"""Prepares the source tree from which dpkg-buildpackage makes the packages: tree/PACKAGE for each, and debian/control."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from assemble import assemble, require_locked
from contents import AGENT, Package, distribution, packages, plugins_apart

_HERE = Path(__file__).parent
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")

_PLUGIN = """
Package: {name}
Architecture: amd64 arm64
Depends: camera-agent (= ${{binary:Version}}), libstdc++6, {depends}${{misc:Depends}}
Description: {summary}
 Plugin of the camera agent, with the libraries that only it needs.
"""


def main() -> None:
    """Prepare the tree that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--wheels", "--own", "--source"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    locked, own = sorted(given.wheels.glob("*.whl")), sorted(given.own.glob("*.whl"))
    require_locked(locked, (_HERE / "requirements.lock").read_text())
    wheels = {path: distribution(path, _python(path)) for path in (*locked, *own)}
    found = packages(wheels.values(), [wheels[path].name for path in own], plugins_apart(_HERE.parents[1]))
    for package in found:
        chosen = [path for path, read in wheels.items() if read.name in package.distributions]
        assemble(chosen, given.source / "tree" / package.name / "usr/lib/camera-agent/site-packages")
    _control(found, given.source / "debian")
    _agent(given.source / "tree" / AGENT, {read.name: read.version for read in wheels.values()})


def _python(wheel: Path) -> str:
    """Return the Python version that a wheel's name gives, else the oldest supported."""
    tag = wheel.name.split("-")[-3]
    return next((each for each in _PYTHONS if tag == f"cp{each.replace('.', '')}"), _PYTHONS[0])


def _control(found: Sequence[Package], debian: Path) -> None:
    agent, *plugins = found
    text = (debian / "control.in").read_text().replace("@DEPENDS@", _listed(agent))
    for each in plugins:
        text += _PLUGIN.format(
            name=each.name, summary=each.summary[:1].lower() + each.summary[1:], depends=_listed(each)
        )
    (debian / "control").write_text(text)
    (debian / "control.in").unlink()


def _listed(package: Package) -> str:
    return "".join(f"{name}, " for name in sorted(package.depends))


def _agent(tree: Path, versions: dict[str, str]) -> None:
    """Add the agent's own files, and the versions that plugins may not replace."""
    for source, target, mode in (
        ("launcher", "usr/bin/camera-agent", 0o755),
        ("rtupdate", "usr/share/python3/runtime.d/camera-agent.rtupdate", 0o755),
        ("config.toml", "etc/camera-agent/config.toml", 0o644),
    ):
        path = tree / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_HERE / source, path)
        path.chmod(mode)
    (tree / "usr/lib/camera-agent/constraints.txt").write_text(
        "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    )


if __name__ == "__main__":
    main()
