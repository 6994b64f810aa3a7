"""Builds of the overlay: a folder beside the one in use, filled by pip, tidied, and then linked in its place.

pip and the check that follows run in children; a build that fails, or is interrupted, leaves the one in use as it is.
"""

import compileall
import json
import os
import shutil
import sys
import tempfile
import venv
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from agent_core.base.files import write_atomic
from agent_core.cli.overlay import pip
from agent_core.plugin_host.overlay.place import Place
from agent_core.plugin_host.overlay.wanted import overlay_distributions, requirements_of, wanted_text

__all__ = (
    "Build",
    "library_folders",
    "new_build",
    "reachable",
    "remove_leftovers",
    "remove_other_tags",
    "swap_in",
)


@dataclass(frozen=True, slots=True)
class Build:
    """Folder of a build that is not yet in use."""

    place: Place
    folder: Path

    @property
    def site_packages(self) -> Path:
        return self.folder / "site-packages"

    def copy_present(self, fresh: Collection[NormalizedName]) -> None:
        """Start from the build in use, without the distributions in `fresh`: the others keep their versions."""
        if self.place.site_packages.is_dir():
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(self.place.site_packages, self.site_packages, symlinks=True, ignore=without)
        present = overlay_distributions(self.site_packages)
        self._take_out(present, present.keys() & set(fresh))

    async def install(
        self, wanted: Iterable[Requirement], versions: Mapping[NormalizedName, str], sources: pip.Sources
    ) -> None:
        """Let pip install all that is wanted together. Raises as `pip.install`."""
        work = self.folder / "work"
        work.mkdir()
        environment = work / "venv"
        venv.EnvBuilder(symlinks=True, with_pip=False).create(environment)
        (inside,) = environment.glob("lib/python3*/site-packages")
        if self.site_packages.exists():
            inside.rmdir()
            self.site_packages.rename(inside)
        (inside / "_agent.pth").write_text("".join(f"{path}\n" for path in library_folders(self.place)))
        constraints, requirements = work / "constraints.txt", work / "requirements.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
        requirements.write_text(wanted_text(wanted))
        await pip.install(self.place, environment / "bin/python", requirements, constraints, sources)
        inside.rename(self.site_packages)
        shutil.rmtree(work)

    def tidy(self, wanted: Iterable[Requirement]) -> list[str]:
        """Remove what is not needed or must not run; return the names of removed files that would run code.

        A `.pth` file would run in each Python that uses the folder, for a plugin that is not enabled, too.
        """
        self.site_packages.mkdir(exist_ok=True)
        removed = [each.name for each in self.site_packages.glob("*.pth") if each.name != "_agent.pth"]
        for each in self.site_packages.glob("*.pth"):
            each.unlink()
        present = overlay_distributions(self.site_packages)
        self._take_out(present, present.keys() - reachable(wanted, present))
        shutil.rmtree(self.site_packages / "__pycache__", ignore_errors=True)
        return removed

    def finish(self, wanted: Iterable[Requirement]) -> None:
        """Compile the modules, because the agent's account cannot, and note what the build is for."""
        compileall.compile_dir(
            self.site_packages, quiet=2, stripdir=str(self.folder), prependdir=str(self.place.link)
        )
        build = {"wanted": sorted(str(each) for each in wanted)}
        (self.folder / "build.json").write_text(json.dumps(build) + "\n")

    def _take_out(
        self, present: Mapping[NormalizedName, Distribution], names: Collection[NormalizedName]
    ) -> None:
        """Remove the files of distributions, as their lists name them, and the folders that are empty then.

        What another one of those `present` contains too stays, such as the `__init__.py` of a common folder.
        """
        kept = {file for name, each in present.items() if name not in names for file in each.files or ()}
        folders: set[Path] = set()
        for file in {file for name in names for file in present[name].files or ()} - kept:
            if ".." not in file.parts and not file.is_absolute():
                (self.site_packages / file).unlink(missing_ok=True)
                folders.update((self.site_packages / file).parents)
        below = (each for each in folders if self.site_packages in each.parents)
        for folder in sorted(below, key=lambda each: len(each.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def library_folders(place: Place) -> list[str]:
    """Return the folders of libraries on this process's search path, without the overlay."""
    found = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [path for path in found if path != str(place.site_packages)]


def reachable(
    wanted: Iterable[Requirement], present: Mapping[NormalizedName, Distribution]
) -> set[NormalizedName]:
    """Return the names of the distributions that `wanted` need, directly or not."""
    found: set[NormalizedName] = set()
    seen: set[tuple[NormalizedName, frozenset[str]]] = set()
    waiting = [*wanted]
    while waiting:
        each = waiting.pop()
        name, extras = canonicalize_name(each.name), frozenset(each.extras)
        if name not in present or (name, extras) in seen:
            continue
        found.add(name)
        seen.add((name, extras))
        waiting += requirements_of(present[name], extras)[0]
    return found


@contextmanager
def new_build(place: Place) -> Iterator[Build]:
    """Make the folder of a build; remove it at the end unless it was swapped in."""
    folder = Path(tempfile.mkdtemp(dir=place.root, prefix=f".{place.tag}-"))
    try:
        folder.chmod(0o755)
        yield Build(place, folder)
    finally:
        if not _is_used(place, folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_used(place: Place, folder: Path) -> bool:
    return any(each.is_symlink() and each.readlink() == Path(folder.name) for each in place.root.glob("cp*"))


def remove_leftovers(place: Place) -> None:
    """Remove what an interrupted change has left. Call it with the lock only."""
    for folder in place.root.glob(".cp*-*"):
        if not _is_used(place, folder):
            shutil.rmtree(folder, ignore_errors=True)


def remove_other_tags(place: Place) -> None:
    """Remove the builds for other versions of Python. Call it with the lock only."""
    for link in place.root.glob("cp*"):
        if link != place.link:
            link.unlink()
    remove_leftovers(place)


def swap_in(build: Build, wanted: Iterable[Requirement]) -> None:
    """Put a finished build in the place of the one in use, and store what is wanted.

    What is wanted is stored first: after an interruption in between, the agent says that it is not built.

    Raises:
        OSError: it could not be done; the old build is in use.
    """
    place = build.place
    before = place.wanted_file.read_bytes() if place.wanted_file.exists() else None
    old = place.root / place.link.readlink() if place.link.is_symlink() else None
    os.sync()  # a power cut after the swap must not find empty files
    write_atomic(place.wanted_file, wanted_text(wanted).encode(), mode=0o644)
    try:
        made = place.root / f".{place.tag}-link"
        made.unlink(missing_ok=True)
        made.symlink_to(build.folder.name)
        made.replace(place.link)
    except OSError:
        if before is None:
            place.wanted_file.unlink()
        else:
            write_atomic(place.wanted_file, before, mode=0o644)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
