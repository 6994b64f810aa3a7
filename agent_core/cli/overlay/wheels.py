"""Wheels that are given as files: checked before pip sees them, and kept, because `sync` needs them again."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from sysconfig import get_platform

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename

from agent_core.base.files import make_folder
from agent_core.base.small_files import open_regular
from agent_core.cli.exits import CommandFailed
from agent_core.plugin_host.overlay.place import Place

__all__ = ("forget_wheels", "keep_wheel")


def keep_wheel(place: Place, path: Path) -> Requirement:
    """Copy a wheel to the overlay, and return the requirement that names the copy.

    The folder of the copy is named by its content, so that no wheel that is in use changes.

    Raises:
        CommandFailed: the file is not a usable wheel.
        OSError: it cannot be read or copied.
    """
    name = _fitting(path, place)
    with os.fdopen(open_regular(path, follow=True), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = place.wheels / digest[:16] / path.name
        make_folder(kept.parent, 0o755)
        file.seek(0)
        with kept.open("wb") as copy:
            shutil.copyfileobj(file, copy)
    _inspect(kept, shutil.disk_usage(kept.parent).free)
    return Requirement(f"{name} @ {kept.as_uri()}")


def _fitting(path: Path, place: Place) -> NormalizedName:
    """Return the name of the distribution of a wheel; refuse what is none, and one for other machines."""
    if not path.exists():
        raise CommandFailed(
            f"There is no file {path}.",
            reason="no_such_file",
            suggestion="Correct the path; a distribution of the package index is named without a folder and `.whl`.",
        )
    if path.suffix != ".whl":
        raise CommandFailed(
            f"{path} is not a wheel.",
            reason="unusable_wheel",
            suggestion="Name a file that ends in .whl; `python3 -m pip wheel --no-deps PATH` builds one from source code.",
        )
    try:
        name, _, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise _refused(path, f"its name is not that of a wheel ({error})") from error
    if tags.isdisjoint(sys_tags()):
        raise CommandFailed(
            f"{path.name} is for {', '.join(sorted(map(str, tags)))}; this agent has {place.tag} on {get_platform()}.",
            reason="other_platform",
            suggestion="Get the wheel for this Python and this machine.",
        )
    return name


def _inspect(path: Path, free_bytes: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            damaged = archive.testzip() if sum(each.file_size for each in entries) <= free_bytes else None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise _refused(path, f"it is not a wheel, or a damaged one ({error})") from error
    if damaged is not None:
        raise _refused(path, f"{damaged} in it is damaged")
    for each in entries:
        parts = PurePosixPath(each.filename.replace("\\", "/")).parts
        if ".." in parts or each.filename.startswith(("/", "\\")):
            raise _refused(path, f"its file {each.filename} would be written outside of the plugins' folder")
    if sum(each.file_size for each in entries) > free_bytes:
        raise CommandFailed(
            f"{path.name} needs more space than the disk has.",
            reason="disk_full",
            suggestion="Free some space on this disk.",
        )


def _refused(path: Path, fault: str) -> CommandFailed:
    return CommandFailed(
        f"{path.name} cannot be installed: {fault}.",
        reason="unusable_wheel",
        suggestion="Build the wheel again, or get it from its author again.",
    )


def forget_wheels(place: Place, wanted: Iterable[Requirement]) -> None:
    """Remove the kept wheels that are wanted no longer."""
    urls = {each.url for each in wanted}
    for folder in place.wheels.glob("*"):
        if not any(each.as_uri() in urls for each in folder.glob("*")):
            shutil.rmtree(folder, ignore_errors=True)
