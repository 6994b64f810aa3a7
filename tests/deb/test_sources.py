"""Sources that must go along with the packages: which they are, and that they are those of what is compiled."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from licences import Bundled, Licences, Recipe
from sources import Archive, archives_of, collect, copyleft, has_source, require_marks, requirement
from tests.deb.conftest import MakeWheel

ROOT = Path(__file__).parents[2]
LICENCES = Licences.read()
LOCK = (ROOT / "packaging/deb/requirements.lock").read_text()
CODEC = Bundled(
    "fast",
    ("libcodec",),
    "GPL-2.0-or-later",
    "https://codec.example/codec-7.1.tar.gz",
    ("2026 Codec people",),
    sha256=hashlib.sha256(b"codec").hexdigest(),
    marks={"libcodec": "codec 7.1"},
)
RECIPE = Recipe("1.0", "https://recipe.example/archive/v1.tar.gz", "its README", ())
FAST = Licences({"fast": "MIT"}, (CODEC,), {"fast": RECIPE})


def library(make_wheel: MakeWheel, content: bytes) -> Path:
    return make_wheel("fast", {"fast.libs/libcodec-01234567.so.7": content})


def test_libraries_that_are_what_the_entries_say_pass(make_wheel: MakeWheel) -> None:
    require_marks([library(make_wheel, b"\x7fELF codec 7.1\0")], FAST)


def test_another_version_of_a_library_stops_the_build(make_wheel: MakeWheel) -> None:
    with pytest.raises(ValueError, match=r"libcodec-01234567.so.7 in .* does not contain 'codec 7.1'"):
        require_marks([library(make_wheel, b"\x7fELF codec 7.2\0")], FAST)


def test_another_version_of_the_wheel_stops_the_build(make_wheel: MakeWheel) -> None:
    licences = replace(FAST, recipes={"fast": replace(RECIPE, version="0.9")})
    with pytest.raises(ValueError, match=r"fast is now 1.0, and .* has the sources of 0.9"):
        require_marks([library(make_wheel, b"codec 7.1")], licences)


def test_every_library_under_the_gpl_has_a_source_of_its_very_version() -> None:
    for each in LICENCES.libraries:
        if "GPL" in each.licence:
            assert len(each.sha256) == 64, each.files
    assert {each.wheel for each in LICENCES.libraries if "GPL" in each.licence} <= LICENCES.recipes.keys()


def test_a_recipe_is_that_of_the_locked_version() -> None:
    for name, recipe in LICENCES.recipes.items():
        assert requirement(name, LOCK).startswith(f"{name}=={recipe.version} ")


def test_the_archives_have_names_of_their_own() -> None:
    names = [each.name for each in archives_of(LICENCES)]
    assert len(set(names)) == len(names) > 15
    assert {"ffmpeg-8.1.2.tar.xz", "libvpx-v1.16.0.tar.gz"} <= set(names)


def test_the_source_of_a_library_under_the_gpl_goes_along() -> None:
    assert {"linuxpy", "zeroconf", "certifi", "av"} <= set(copyleft(LICENCES))
    assert "anyio" not in copyleft(LICENCES)


def test_a_source_is_taken_only_as_it_was_named(tmp_path: Path) -> None:
    content = {"https://a.example/a-1.tar": b"a", "https://b.example/b-1.tar": b"changed"}

    def fetch(url: str) -> bytes:
        if url not in content:
            raise OSError("no route")
        return content[url]

    wanted = [
        Archive(f"https://{name}.example/{name}-1.tar", hashlib.sha256(name.encode()).hexdigest(), name)
        for name in ("a", "b", "c")
    ]
    changed, unreachable = collect(wanted, tmp_path, fetch)
    assert changed.startswith("b-1.tar (b): https://b.example/b-1.tar has the SHA-256")
    assert unreachable == "c-1.tar (c): https://c.example/c-1.tar cannot be fetched: no route"
    assert [path.name for path in tmp_path.iterdir()] == ["a-1.tar"]
    (tmp_path / "c-1.tar").write_bytes(b"c")  # by hand
    assert len(collect(wanted, tmp_path, fetch)) == 1


def test_a_source_distribution_that_was_put_there_is_checked_by_the_lock(tmp_path: Path) -> None:
    lock = f"fast==1.0 \\\n    --hash=sha256:{hashlib.sha256(b'source').hexdigest()}\nslow==2\n"
    assert not has_source("fast", tmp_path, lock)
    (tmp_path / "fast-1.0.tar.gz").write_bytes(b"something else")
    assert not has_source("fast", tmp_path, lock)
    (tmp_path / "fast-1.0.tar.gz").write_bytes(b"source")
    assert has_source("fast", tmp_path, lock)
