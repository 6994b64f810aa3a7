"""The lock of the Debian packages is a part of the project's own lock."""

import re
from pathlib import Path

import pytest

from contents import FROM_DEBIAN

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging/deb"


def locked(path: Path) -> dict[str, str]:
    """Return the versions in a lock by name; those for some Pythons only are left out."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", path.read_text(), re.MULTILINE))


PACKAGED = locked(FOLDER / "requirements.lock")
BUNDLED = set(re.findall(r"^([a-z0-9-]+)[<>=]", (FOLDER / "bundled.in").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", sorted(PACKAGED.keys() - BUNDLED))
def test_a_library_is_packaged_in_the_version_that_the_tests_use(name: str) -> None:
    assert PACKAGED[name] == locked(ROOT / "requirements.lock").get(name), "run `make lock`"


def test_the_lock_has_what_is_bundled_and_not_what_debian_provides() -> None:
    assert PACKAGED.keys() >= BUNDLED
    assert not FROM_DEBIAN.keys() & PACKAGED.keys()
    assert {"pydantic-core", "av", "linuxpy"} <= PACKAGED.keys()


def test_no_development_tool_is_packaged() -> None:
    assert not {"pytest", "mypy", "ruff", "hatchling", "imageio-ffmpeg"} & PACKAGED.keys()


def test_one_version_of_each_library_serves_every_python() -> None:
    names = re.findall(r"^([a-z0-9-]+)==[^\n]*", (FOLDER / "requirements.lock").read_text(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(names) == PACKAGED.keys(), "an entry has a marker"
