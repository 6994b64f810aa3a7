"""Tests of the laboratory that need no image."""

import re
import subprocess
import sys
from pathlib import Path

from tests.vm.host.folders import IMAGE_SOURCES, key_of
from tests.vm.host.image import SUITE_FOLDERS, image_sources
from tests.vm.host.pictures import SIZES, write_pictures
from tests.vm.host.session import summary
from tests.vm.host.sites import LEFT_OUT, LOCK, _requirements

ROOT = Path(__file__).parents[2]


def test_what_is_left_out_of_the_machine_is_locked_and_the_rest_is_taken() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", LOCK.read_text(), re.MULTILINE))
    taken = set(re.findall(r"^([\w.-]+)==", _requirements(), re.MULTILINE))
    assert locked >= LEFT_OUT
    assert taken == locked - LEFT_OUT
    assert _requirements().count("--hash=") > len(taken)


def test_a_key_changes_with_content_names_and_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    keys = [key_of([tmp_path / "a"], "w"), key_of([tmp_path / "b"], "w"), key_of([tmp_path / "a"], "v")]
    (tmp_path / "a").write_text("y")
    keys.append(key_of([tmp_path / "a"], "w"))
    assert len(set(keys)) == 4


def test_what_one_suite_has_more_does_not_change_the_image_of_another() -> None:
    for folder in SUITE_FOLDERS:
        own = {path for path in folder.rglob("*") if path.is_file()}
        assert own
        assert own <= set(image_sources(folder.name))
        assert not own & set(image_sources("bookworm"))
        assert IMAGE_SOURCES / "packages" in image_sources(folder.name)


def test_pictures_are_all_different_and_always_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_pictures(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.jpg"))
    contents = [(tmp_path / "one" / each).read_bytes() for each in files]
    assert len(set(contents)) == len(files) == 7 * len(SIZES)
    assert contents == [(tmp_path / "two" / each).read_bytes() for each in files]


def test_where_it_cannot_be_the_run_says_why_and_succeeds(tmp_path: Path) -> None:
    """An empty PATH has no apt; without root's rights, nothing can be installed either."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.vm", "--tests"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.startswith("SKIPPED(vm): ")) == (0, True), done.stderr


def test_a_run_that_was_cut_off_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "camera-1.xml").write_text("")
    (tmp_path / "camera-2.xml").write_text(
        '<testsuites><testsuite tests="3" failures="1" errors="0" skipped="2"/></testsuites>'
    )
    told = summary(tmp_path)
    assert told.startswith("3 tests, 1 failures, 0 errors, 2 skipped, ")
    assert "camera-1.xml" in told
