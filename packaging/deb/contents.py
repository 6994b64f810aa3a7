"""Decides which wheels each Debian package contains: the agent's, and those of plugins that have a package of their own.

A plugin is part of the package `camera-agent` unless its `pyproject.toml` says otherwise:

    [tool.camera-agent]
    deb = "own"

It then has a package named like its distribution, with the libraries that only it needs, and is switched on while that
package is installed.
"""

import re
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ("FROM_DEBIAN", "Distribution", "Package", "distribution", "packages", "plugins_apart")

AGENT = "camera-agent"
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
    """Read a wheel's metadata; `requires` are the names that it needs on Linux under `python_version`, without extras.

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
    environment: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "extra": "",
        "platform_system": "Linux",
        "python_full_version": f"{python_version}.0",
        "python_version": python_version,
        "sys_platform": "linux",
    }
    required = (Requirement(text) for text in metadata.get_all("Requires-Dist", []))
    return Distribution(
        name=canonicalize_name(metadata["Name"]),
        version=metadata["Version"],
        summary=metadata["Summary"] or "",
        requires=frozenset(
            canonicalize_name(each.name)
            for each in required
            if each.marker is None or each.marker.evaluate(environment)
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
    apart = set()
    for path in root.glob("plugins/*/pyproject.toml"):
        project = tomllib.loads(path.read_text())
        if project.get("tool", {}).get(AGENT, {}).get("deb") == "own":
            apart.add(canonicalize_name(project["project"]["name"]))
    return frozenset(apart)


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
    apart = sorted(apart)
    inside = _closure(set(own) - set(apart), needs)
    return [
        _package(described[AGENT], inside),
        *(_package(described[name], _closure({name}, needs) - inside) for name in apart),
    ]


def _package(main: Distribution, wanted: frozenset[str]) -> Package:
    return Package(
        name=main.name,
        summary=main.summary,
        distributions=wanted - FROM_DEBIAN.keys(),
        depends=frozenset(FROM_DEBIAN[each] for each in wanted & FROM_DEBIAN.keys()),
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
