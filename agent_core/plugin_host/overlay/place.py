"""Place of the overlay beside the agent's own libraries, and the search path with it.

    ROOT/plugins.txt              the requirements that are wanted, one on each line
    ROOT/wheels/                  the wheels that were given as files
    ROOT/cp313 -> .cp313-XXXXXXXX link to the build that is used; replaced as a whole
    ROOT/cp313/site-packages/     the plugins, and libraries that only they need
    ROOT/cp313/build.json         the requirements that the build was made for

ROOT is /var/lib/camera-agent/plugins for the package. This module is imported at each start: apart from the standard
library it imports nothing.
"""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Place", "agents_place", "find_fault", "use_overlay")

#: Folder of the Debian package's own files.
_PACKAGE = Path("/usr/lib/camera-agent")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of the agent's libraries and of its overlay.

    Attributes:
        libraries: folder of the agent's own libraries.
        root: folder of the overlay, which may not exist.
        owners: user ids whose files are trusted: root, and the owner of the agent's code.
        is_packaged: True for the agent of the Debian package.
        tag: the Python version, as in the names of wheels: `cp313`.
    """

    libraries: Path
    root: Path
    owners: frozenset[int]
    is_packaged: bool
    tag: str = f"cp{sys.version_info[0]}{sys.version_info[1]}"

    @property
    def link(self) -> Path:
        return self.root / self.tag

    @property
    def site_packages(self) -> Path:
        return self.link / "site-packages"

    @property
    def wanted_file(self) -> Path:
        return self.root / "plugins.txt"

    @property
    def wheels(self) -> Path:
        return self.root / "wheels"

    @property
    def base(self) -> Path:
        """Folder of the package's own files beside the libraries."""
        return self.libraries.parent

    @property
    def account(self) -> str | None:
        """Name of the account that the Debian package makes for its service; None for any other agent."""
        return "camera-agent" if self.base == _PACKAGE else None

    @property
    def constraints(self) -> Path:
        """Versions of all distributions that the agent's packages contain, installed or not."""
        return self.base / "constraints.txt"


def agents_place() -> Place:
    """Return the place of the agent whose code runs."""
    code = Path(__file__).absolute().parents[2]
    libraries = code.parent
    owners = frozenset({0, code.stat().st_uid})
    if libraries.name == "site-packages" and (libraries.parent / "constraints.txt").is_file():
        # ROOT/usr/lib/camera-agent/site-packages/agent_core
        root = libraries.parents[3] / "var/lib/camera-agent/plugins"
        return Place(libraries, root, owners, is_packaged=True)
    root = Path(sys.prefix, "share/camera-agent/plugins")
    # As `sysconfig.get_path("purelib")` in a virtual environment, whose module is slow to import.
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return Place(Path(sys.prefix, "lib", version, "site-packages"), root, owners, is_packaged=False)


def find_fault(place: Place) -> str | None:
    """Return why the overlay may not be used, as a clause after its path; None if it may be, or if there is none.

    Any account that could write to it could run code as the agent's user, and as root at the next command of root.
    """
    for folder in (place.root.parent, place.root, place.link, place.site_packages):
        try:
            status = folder.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{folder} cannot be read: {(error.strerror or str(error)).lower()}"
        if status.st_uid not in place.owners:
            return f"{folder} belongs to another account"
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            return f"{folder} is writable by other accounts"
    return None


def use_overlay(place: Place, search_path: list[str]) -> None:
    """Add the overlay to `search_path` after the agent's own libraries and before the system's.

    Unlike `site.addsitedir`, this runs no `.pth` file: an installed plugin that is not enabled runs no code in the agent.
    """
    site_packages = os.fspath(place.site_packages)
    if find_fault(place) is not None or site_packages in search_path or not os.path.isdir(site_packages):  # noqa: PTH112 - as quick as possible
        return
    libraries = os.fspath(place.libraries)
    at = search_path.index(libraries) + 1 if libraries in search_path else len(search_path)
    search_path.insert(at, site_packages)
