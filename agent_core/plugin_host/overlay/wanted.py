"""Wanted plugins of the overlay, and the problems that keep them from being there.

`plugins.txt` outlives a change of the Python version, which leaves the builds for the old one behind.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from agent_core.base.errors import PluginError
from agent_core.base.small_files import read_small
from agent_core.plugin_host.overlay.place import Place, find_fault

__all__ = (
    "built_for",
    "find_problems",
    "overlay_distributions",
    "parse_wanted",
    "read_wanted",
    "requirements_of",
    "unmet_requirements",
    "wanted_text",
)

_HEAD = "# Wanted plugins; written by `camera-agent plugins install` and `remove`. After a change: `camera-agent plugins sync`.\n"
_SYNC = "Run `camera-agent plugins sync` as root."


def parse_wanted(text: str) -> dict[NormalizedName, Requirement]:
    """Return the requirements by canonical name.

    Raises:
        InvalidRequirement: a line is none.
    """
    lines = (line.strip() for line in text.splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in found}


def wanted_text(wanted: Iterable[Requirement]) -> str:
    """Return the content of `plugins.txt`."""
    return _HEAD + "".join(f"{line}\n" for line in sorted(str(each) for each in wanted))


def read_wanted(place: Place) -> dict[NormalizedName, Requirement]:
    """Return the wanted requirements by canonical name; none if there is no file.

    Raises:
        PluginError: the file cannot be used.
    """
    try:
        return parse_wanted(read_small(place.wanted_file, private=True).decode())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, InvalidRequirement) as error:
        raise PluginError(
            f"The list of wanted plugins, {place.wanted_file}, cannot be used: {error}.",
            reason="wanted_unreadable",
            suggestion="Correct it, or delete it and install the plugins again.",
        ) from error


def built_for(folder: Path) -> frozenset[str]:
    """Return the requirements that a build was made for; empty if the folder holds no complete build."""
    try:
        return frozenset(str(each) for each in json.loads(read_small(folder / "build.json"))["wanted"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def overlay_distributions(folder: Path) -> dict[NormalizedName, Distribution]:
    """Return the distributions in a folder of libraries, by canonical name."""
    found = {}
    for each in distributions(path=[str(folder)]):
        with suppress(
            KeyError, TypeError, ValueError, AttributeError
        ):  # of damaged metadata; depends on the Python version
            found[canonicalize_name(each.name)] = each
    return found


def requirements_of(found: Distribution, extras: Iterable[str] = ()) -> tuple[list[Requirement], list[str]]:
    """Return the requirements of a distribution that apply on this host, and the lines that are none."""
    applying, invalid = [], []
    for text in found.requires or ():
        try:
            each = Requirement(text)
            marker = each.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                applying.append(each)
        except ValueError:
            invalid.append(text)
    return applying, invalid


def unmet_requirements(found: Iterable[Distribution]) -> list[str]:
    """Return a clause for each requirement of `found` that the search path of this process does not meet."""
    unmet = []
    for each in found:
        applying, invalid = requirements_of(each)
        unmet += [f"{each.name} {each.version} has the invalid requirement '{text}'" for text in invalid]
        for required in applying:
            fault = _fault(required)
            if fault:
                unmet.append(f"{each.name} {each.version} needs {_shown(required)}, {fault}")
    return unmet


def _fault(required: Requirement) -> str:
    try:
        version = distribution(required.name).version
        if required.specifier.contains(version, prereleases=True):
            return ""
    except PackageNotFoundError:
        return "which is not installed"
    except ValueError:
        return f"and the version of {required.name} is invalid"
    return f"but {required.name} is {version}"


def _shown(required: Requirement) -> str:
    return f"{required.name}{required.specifier}"


def find_problems(place: Place) -> tuple[PluginError, ...]:
    """Return the reasons why wanted plugins are missing or may fail; call it with the overlay on the search path."""
    fault = find_fault(place)
    if fault is not None:
        return (
            PluginError(
                f"The installed plugins are not used: {fault}.",
                reason="overlay_refused",
                suggestion=f"Find out who changed it, then run chown -R root: and chmod -R go-w on {place.root}.",
            ),
        )
    try:
        wanted = read_wanted(place)
    except PluginError as error:
        return (error,)
    built = built_for(place.link)
    missing = sorted(name for name, each in wanted.items() if str(each) not in built)
    problems = []
    if missing:
        details = f"Plugins are wanted but not built for {place.tag}: {', '.join(missing)}."
        problems.append(PluginError(details, reason="plugins_not_built", suggestion=_SYNC))
    if unmet := unmet_requirements(overlay_distributions(place.site_packages).values()):
        details = f"Installed plugins do not fit the agent: {'; '.join(unmet)}."
        problems.append(PluginError(details, reason="requirements_unmet", suggestion=_SYNC))
    return tuple(problems)
