"""Decides which wheels each Debian package contains: the agent's, and those of plugins that have a package of their own.

A plugin is part of the package `camera-agent` unless its `pyproject.toml` says otherwise:

    [tool.camera-agent]
    deb = "own"

It then has a package named like its distribution, with the libraries that only it needs, and is switched on while that
package is installed. The agent's package recommends it; with `deb = "suggested"`, it only suggests it. A library that two such plugins need has a package too, `camera-agent-lib-NAME`.
"""

import re
import tomllib
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, replace
from email.parser import Parser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = (
    "FROM_DEBIAN",
    "Distribution",
    "Package",
    "distribution",
    "packages",
    "plugins_apart",
    "plugins_suggested",
)

AGENT = "camera-agent"
_MACHINES = ("x86_64", "aarch64")
#: Libraries that Debian provides, and the package of each. Extension modules built for numpy 2 run with 1.24 as well.
FROM_DEBIAN: Mapping[str, str] = {"numpy": "python3-numpy"}


@dataclass(frozen=True, slots=True)
class Distribution:
    """Python distribution in the form of one or more wheels, one for each Python where they differ."""

    name: str
    version: str
    summary: str
    requires: frozenset[str]
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """Debian package and the canonical names of the distributions in it."""

    name: str
    summary: str
    distributions: frozenset[str]
    depends: frozenset[str]
    plugins: tuple[str, ...]


def distribution(wheel: Path, python_version: str) -> Distribution:
    """Read a wheel's metadata.

    `requires` are the names that it needs on Linux under `python_version` on any of our machines, without extras.

    Raises:
        ValueError: the wheel has no metadata.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(
            (each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)), None
        )
        if name is None:
            raise ValueError(f"{wheel.name} has no metadata.")
        metadata = Parser().parsestr(archive.read(name).decode())
        plugins = _plugins(archive, name.replace("METADATA", "entry_points.txt"))
    environments: list[dict[str, str]] = [
        {
            **{key: str(value) for key, value in default_environment().items()},
            "extra": "",
            "platform_machine": machine,
            "platform_system": "Linux",
            "python_full_version": f"{python_version}.0",
            "python_version": python_version,
            "sys_platform": "linux",
        }
        for machine in _MACHINES
    ]
    required = (Requirement(text) for text in metadata.get_all("Requires-Dist", []))
    return Distribution(
        name=canonicalize_name(metadata["Name"]),
        version=metadata["Version"],
        summary=metadata["Summary"] or "",
        requires=frozenset(
            canonicalize_name(each.name)
            for each in required
            if each.marker is None or any(map(each.marker.evaluate, environments))
        ),
        plugins=plugins,
    )


def _plugins(archive: zipfile.ZipFile, entry_points: str) -> tuple[str, ...]:
    """Return the names of the plugins that a wheel has."""
    if entry_points not in archive.namelist():
        return ()
    parser = ConfigParser(delimiters=("=",))
    parser.read_string(archive.read(entry_points).decode())
    return tuple(sorted(parser["camera_agent.plugins"])) if "camera_agent.plugins" in parser else ()


def plugins_apart(root: Path) -> frozenset[str]:
    """Return the names of the distributions below `root`/plugins that have a Debian package of their own."""
    return _marked(root, {"own", "suggested"})


def plugins_suggested(root: Path) -> frozenset[str]:
    """Return those of `plugins_apart` that the agent's package does not recommend, because few need them."""
    return _marked(root, {"suggested"})


def _marked(root: Path, marks: Collection[str]) -> frozenset[str]:
    """Return the names of the distributions below `root`/plugins whose key `deb` is one of `marks`."""
    found = set()
    for path in root.glob("plugins/*/pyproject.toml"):
        project = tomllib.loads(path.read_text())
        if project.get("tool", {}).get(AGENT, {}).get("deb") in marks:
            found.add(canonicalize_name(project["project"]["name"]))
    return frozenset(found)


def packages(available: Iterable[Distribution], own: Iterable[str], apart: Iterable[str]) -> list[Package]:
    """Return the packages, the agent's first.

    Args:
        available: all distributions, of any Python.
        own: names of this project's distributions.
        apart: those of `own` that have a package of their own.

    Raises:
        ValueError: a library that one of them needs is not available.
    """
    needs: dict[str, frozenset[str]] = {}
    described: dict[str, Distribution] = {}
    for each in available:
        needs[each.name] = needs.get(each.name, frozenset()) | each.requires
        described[each.name] = each
    inside = _closure(set(own) - set(apart), needs)
    needed = {name: _closure({name}, needs) - inside for name in sorted(apart)}
    return [_package(described[AGENT], inside), *_apart(needed, described)]


def _apart(needed: Mapping[str, frozenset[str]], described: Mapping[str, Distribution]) -> Iterator[Package]:
    """Yield a package for each plugin in `needed`, and for each library that several of them would contain.

    Two packages cannot contain the same file.
    """
    contents, plugins = {}, {}
    for name, wanted in needed.items():
        plugins[name] = (wanted & needed.keys()) - {name}
        contents[name] = wanted.difference(*(needed[each] for each in plugins[name]))
    counted = Counter(library for each in contents.values() for library in each)
    shared = frozenset(library for library, count in counted.items() if count > 1) - FROM_DEBIAN.keys()
    for name, wanted in contents.items():
        others = {*plugins[name], *(_library_package(each) for each in wanted & shared)}
        yield _package(described[name], wanted - shared, others)
    for name in sorted(shared):
        yield replace(_package(described[name], frozenset({name})), name=_library_package(name))


def _library_package(library: str) -> str:
    return f"{AGENT}-lib-{library}"


def _package(main: Distribution, wanted: frozenset[str], others: Iterable[str] = ()) -> Package:
    """Return a package with `wanted` that depends on the packages `others` in the same version."""
    return Package(
        name=main.name,
        summary=main.summary,
        distributions=wanted - FROM_DEBIAN.keys(),
        depends=frozenset(FROM_DEBIAN[each] for each in wanted & FROM_DEBIAN.keys())
        | {f"{each} (= ${{binary:Version}})" for each in others},
        plugins=main.plugins,
    )


def _closure(roots: Iterable[str], needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [*roots]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name not in needs and name not in FROM_DEBIAN:
            raise ValueError(f"There is no wheel of {name}; run `make lock`.")
        waiting.extend(needs.get(name, ()))
    return frozenset(found)
