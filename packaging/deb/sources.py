"""Collects the sources that must go along with the packages, and checks that those named are those that were compiled.

The licences of some libraries ask that the sources accompany the packages when these are passed on. The sources are: the agent's own; the
source distributions of the Python libraries; and, for shared libraries that a wheel brings along, what the wheel's recipe names.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contents import distribution
from licences import LIBRARY, Licences

__all__ = ("Archive", "archives_of", "collect", "copyleft", "has_source", "require_marks", "requirement")

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_TIMEOUT_S = 60.0
_PIP = (
    "python3",
    "-m",
    "pip",
    "download",
    "--quiet",
    "--disable-pip-version-check",
    "--require-hashes",
    "--no-deps",
)
_COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL)-")


@dataclass(frozen=True, slots=True)
class Archive:
    """Archive of sources; `sha256` is empty for one that its address alone identifies."""

    url: str
    sha256: str
    use: str

    @property
    def name(self) -> str:
        """File name that tells versions and projects apart."""
        folders, _, last = urlsplit(self.url).path.strip("/").rpartition("/")
        if re.match(r"[vn]?\d|[0-9a-f]{40}\.", last) and "/archive" in f"/{folders}":
            return f"{folders.split('/')[1]}-{last}"
        return last


def require_marks(wheels: Iterable[Path], licences: Licences) -> None:
    """Compare wheels with what licences.toml says about the sources of their shared libraries.

    Raises:
        ValueError: a wheel has another version than its recipe, or a library lacks the words that its version has.
    """
    for path in wheels:
        read = distribution(path, "3.11")
        recipe = licences.recipes.get(read.name)
        if recipe is None:
            continue
        if recipe.version != read.version:
            raise ValueError(
                f"{read.name} is now {read.version}, and packaging/deb/licences.toml has the sources of {recipe.version}. "
                "Read the recipe of the new version, and change the entries of its libraries."
            )
        marks = {
            name: word
            for each in licences.libraries
            if each.wheel == read.name
            for name, word in each.marks.items()
        }
        _require(path, marks)


def _require(wheel: Path, marks: dict[str, str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.namelist():
            match = LIBRARY.fullmatch(file)
            word = marks.get(match[1]) if match else None
            if word is not None and word.encode() not in archive.read(file):
                raise ValueError(
                    f"{file} in {wheel.name} does not contain '{word}': it was made from other sources than licences.toml says."
                )


def archives_of(licences: Licences) -> Iterator[Archive]:
    """Yield the archives that the recipes and the entries of the shared libraries name."""
    for name, recipe in licences.recipes.items():
        yield Archive(recipe.source, "", f"recipe and patches of {name} {recipe.version}")
        for url, sha256 in recipe.others:
            yield Archive(url, sha256, f"compiled into {name}")
    for each in licences.libraries:
        if each.sha256:
            yield Archive(each.source, each.sha256, f"{', '.join(each.files)} in {each.wheel}")


def copyleft(licences: Licences) -> list[str]:
    """Return the Python libraries whose source must go along: by their own licence, or by that of what is linked with them."""
    named = {name for name, licence in licences.distributions.items() if _COPYLEFT.search(licence)}
    return sorted(named | licences.recipes.keys())


def requirement(name: str, lock: str) -> str:
    """Return the lines of requirements.lock for a library. Raises ValueError if there are none."""
    found = re.search(rf"^{re.escape(name)}==\S+.*(?:\n .*)*", lock, re.MULTILINE)
    if found is None:
        raise ValueError(f"packaging/deb/requirements.lock has no {name}.")
    return found[0]


def collect(archives: Iterable[Archive], folder: Path, fetch: Callable[[str], bytes]) -> list[str]:
    """Put the archives into `folder`; leave out those that are there. Return a line for each that could not be had.

    Args:
        archives: what is wanted.
        folder: exists.
        fetch: returns what is at an address, or raises OSError.
    """
    missing = []
    for each in archives:
        path = folder / each.name
        try:
            content = path.read_bytes() if path.exists() else fetch(each.url)
        except OSError as error:
            missing.append(f"{each.name} ({each.use}): {each.url} cannot be fetched: {error}")
            continue
        found = hashlib.sha256(content).hexdigest()
        if each.sha256 not in ("", found):
            missing.append(f"{each.name} ({each.use}): {each.url} has the SHA-256 {found}, not {each.sha256}")
            path.unlink(missing_ok=True)
            continue
        path.write_bytes(content)
    return missing


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "camera-agent-sources"})  # noqa: S310 - addresses of licences.toml
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def has_source(name: str, folder: Path, lock: str) -> bool:
    """Return True if the locked source distribution of a library is in `folder`. Raises as `requirement`."""
    lines = requirement(name, lock)
    version = lines.split()[0].partition("==")[2]
    path = folder / f"{name}-{version}.tar.gz"
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() in lines


def _source_distributions(names: Iterable[str], folder: Path, lock: str) -> list[str]:
    """Let pip fetch the locked source distributions that `folder` lacks. Return a line for each that could not be had.

    pip asks each for its metadata, which some give only where they can be built.
    """
    missing = []
    for name in names:
        if has_source(name, folder, lock):
            continue
        lines = requirement(name, lock)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(lines)
            file.flush()
            done = subprocess.run(
                [*_PIP, f"--no-binary={name}", f"--requirement={file.name}", f"--dest={folder}"],
                check=False,
                capture_output=True,
                text=True,
            )
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if line.strip()), "").strip()
            missing.append(
                f"{lines.split()[0]}: pip cannot fetch its source, a .tar.gz in the package index: {reason}"
            )
    return missing


def _own(folder: Path) -> list[str]:
    """Pack the checkout's commit. Uncommitted changes are none of it."""
    described = subprocess.run(
        ["git", "-C", str(_ROOT), "rev-parse", "--short=12", "HEAD"],
        check=False,
        capture_output=True,
        text=True,
    )
    name = f"camera-agent-{described.stdout.strip()}"
    for path in folder.glob("camera-agent-*.tar.gz"):
        path.unlink()
    argv = [
        "git",
        "-C",
        str(_ROOT),
        "archive",
        f"--prefix={name}/",
        f"--output={folder / name}.tar.gz",
        "HEAD",
    ]
    if described.returncode or subprocess.run(argv, check=False, capture_output=True).returncode:
        return ["the agent's own source: this is no git checkout"]
    return []


def _manifest(archives: Sequence[Archive], folder: Path, missing: Sequence[str]) -> str:
    lines = ["Sources of what the packages contain.", ""]
    lines += [
        f"{each.name}: {each.use}. {each.url} SHA-256 {each.sha256 or 'not known; the address names the commit'}"
        for each in archives
    ]
    here = sorted(path for path in folder.iterdir() if path.name not in ("SOURCES.txt", "SHA256SUMS"))
    lines += [
        "",
        "In this folder:",
        *(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in here),
    ]
    lines += [
        "",
        "Not in this folder; fetch them from elsewhere and add them before you pass the packages on:",
        *(missing or ["nothing"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Collect the sources into the folder that the command line names. Return 1 if any is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    licences = Licences.read()
    archives = list(archives_of(licences))
    missing = _own(folder)
    missing += _source_distributions(copyleft(licences), folder, (_HERE / "requirements.lock").read_text())
    missing += collect(archives, folder, _fetch)
    (folder / "SOURCES.txt").write_text(_manifest(archives, folder, missing))
    for line in missing:
        print(f"sources: missing: {line}", file=sys.stderr)
    print(f"sources: {folder / 'SOURCES.txt'} lists what is there, and {len(missing)} that are missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
