"""Rules for the contents of the overlay: nothing in it may stand in for the agent's own libraries."""

from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from agent_core.cli.exits import CommandFailed
from agent_core.cli.overlay.build import library_folders
from agent_core.plugin_host.overlay.place import Place
from agent_core.plugin_host.overlay.wanted import overlay_distributions, requirements_of
from agent_core.plugin_host.selection import ENTRY_POINT_GROUP

__all__ = ("agents_versions", "offered_plugins", "refuse_clashes", "refuse_replacements")

#: Modules that each Python interpreter imports at its start if it finds them, so also pip, as root.
_RUN_AT_START = frozenset({"sitecustomize", "usercustomize"})
#: Folders that wheels often contain by mistake, and that no plugin imports.
_NOT_IMPORTED = frozenset({"docs", "examples", "test", "tests"})


def agents_versions(place: Place) -> dict[NormalizedName, str]:
    """Return the versions of the distributions that the agent and its own plugins are made of, by canonical name.

    These are the ones of the packages, installed or not, and what they need of the system's.
    """
    installed: dict[NormalizedName, Distribution] = {}
    for folder in reversed(library_folders(place)):
        installed |= overlay_distributions(Path(folder))
    waiting = [name for name in installed if name == "camera-agent" or _is_ours(name, place)]
    found: dict[NormalizedName, str] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name not in installed:
            continue
        found[name] = installed[name].version
        waiting += [canonicalize_name(each.name) for each in requirements_of(installed[name])[0]]
    return found | _packaged(place)


def _is_ours(name: str, place: Place) -> bool:
    return name in _packaged(place) if place.is_packaged else name.startswith("camera-agent-")


def _packaged(place: Place) -> dict[NormalizedName, str]:
    if not place.is_packaged:
        return {}
    lines = (line.strip() for line in place.constraints.read_text().splitlines())
    pairs = (line.partition("==") for line in lines if line)
    return {canonicalize_name(name): version for name, _, version in pairs}


def offered_plugins(folder: Path) -> dict[str, Distribution]:
    """Return the plugins that the distributions in a folder offer, by entry-point name; nothing is imported."""
    return {
        entry.name: each
        for each in overlay_distributions(folder).values()
        for entry in each.entry_points
        if entry.group == ENTRY_POINT_GROUP
    }


def refuse_replacements(place: Place, folder: Path, versions: Mapping[NormalizedName, str]) -> None:
    """Refuse a folder of libraries that has what belongs to the agent.

    Raises:
        CommandFailed: it has one of the agent's distributions or modules, or one that runs at each start of Python.
    """
    for name, each in overlay_distributions(folder).items():
        if name in versions:
            raise _refused(f"{each.name} {each.version} would replace the agent's own {versions[name]}")
    own = _modules(place.libraries.iterdir()) | {"agent_core"}
    for module in sorted(_modules(folder.iterdir()) & (own | _RUN_AT_START)):
        owner = next((each for each in overlay_distributions(folder).values() if _has(each, module)), None)
        shown = f"{owner.name} {owner.version}" if owner is not None else "A wheel"
        use = (
            "Python runs at each start" if module in _RUN_AT_START else "belongs to the agent's own libraries"
        )
        raise _refused(f"{shown} contains the module {module}, which {use}")


def refuse_clashes(folder: Path, before: Path) -> None:
    """Refuse distributions that contain the same module in different forms: only the last one's would be there.

    Args:
        folder: the folder of libraries to judge.
        before: the one in use; what clashes in it already does not count.

    Raises:
        CommandFailed: two of them do.
    """
    for file, one, other in sorted(_clashes(folder) - _clashes(before)):
        raise CommandFailed(
            f"{one} and {other} both contain {file}, in different forms.",
            reason="files_clash",
            suggestion="Install one of them only, or ask the author for a wheel without that file.",
        )


def _clashes(folder: Path) -> set[tuple[str, str, str]]:
    """Return the modules that two distributions list with different hashes, with the names of both."""
    first: dict[str, tuple[str, str]] = {}
    found: set[tuple[str, str, str]] = set()
    for name, each in sorted(overlay_distributions(folder).items()):
        for file in each.files or ():
            if file.suffix in {".py", ".so"} and file.parts[0] not in _NOT_IMPORTED and file.hash is not None:
                owner, value = first.setdefault(str(file), (name, file.hash.value))
                if value != file.hash.value:
                    found.add((str(file), owner, name))
    return found


def _modules(entries: Iterable[Path]) -> set[str]:
    """Return the top-level modules among the entries of a folder of libraries."""
    return {
        each.name.partition(".")[0]
        for each in entries
        if each.suffix in {".py", ".so"} or (not each.suffix and each.is_dir() and each.name != "__pycache__")
    }


def _has(found: Distribution, module: str) -> bool:
    return any(file.parts[0].partition(".")[0] == module for file in found.files or ())


def _refused(fault: str) -> CommandFailed:
    return CommandFailed(
        f"{fault}.",
        reason="replaces_library",
        suggestion="Ask the plugin's author for a wheel without it; it can be a requirement of the plugin instead.",
    )
