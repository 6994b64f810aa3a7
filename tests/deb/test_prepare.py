"""The source tree of the packages, with a plugin that the project does not know."""

import shutil
import tomllib
from pathlib import Path

import pytest

from licences import Licences
from prepare import prepare
from tests.deb.conftest import MakeWheel

ROOT = Path(__file__).parents[2]
LAMP = "camera-agent-lamp-tier"
SITE = "usr/lib/camera-agent/site-packages"

LICENCES = """
[distributions]
anyio = "MIT"
lamps = "MIT"
pip = "MIT"

[[libraries]]
wheel = "lamps"
files = ["libglow"]
licence = "GPL-3.0-or-later"
source = "https://glow.example"
holders = ["2026 Glow people"]
"""


class Tree:
    """Prepared tree of an agent with one library, and of the imaginary plugin `lamp_tier` with another."""

    def __init__(
        self,
        folder: Path,
        make_wheel: MakeWheel,
        *,
        summary: str = "Lamps as cameras",
        suggested: frozenset[str] = frozenset(),
    ) -> None:
        self.folder = folder
        locked = [
            make_wheel("anyio"),
            make_wheel("lamps", {"lamps.libs/libglow-01234567.so.1": b""}),
            make_wheel("pip", version="26.3"),
        ]
        own = [
            make_wheel("camera-agent", requires=("anyio",), licence="Apache-2.0", folder="own"),
            make_wheel(
                LAMP,
                requires=("camera-agent", "lamps", "numpy"),
                plugin="lamp_tier",
                summary=summary,
                licence="Apache-2.0",
                folder="own",
            ),
        ]
        shutil.copytree(ROOT / "packaging/deb/debian", folder / "debian")
        (folder / "licences.toml").write_text(LICENCES)
        licences = Licences.read(folder / "licences.toml")
        prepare(locked, own, folder, frozenset({LAMP}), licences, "2026-11-30", suggested)
        self.agent = folder / "tree/camera-agent"
        self.lamp = folder / "tree" / LAMP
        self.debian = folder / "debian"


@pytest.fixture
def tree(tmp_path: Path, make_wheel: MakeWheel) -> Tree:
    folder = tmp_path / "source"
    folder.mkdir()
    return Tree(folder, make_wheel)


def stanza(control: str, package: str) -> dict[str, str]:
    (text,) = [each for each in control.split("\n\n") if each.lstrip().startswith(f"Package: {package}\n")]
    return dict(line.split(": ", 1) for line in text.strip().splitlines() if not line.startswith(" "))


def test_a_new_plugin_gets_its_package(tree: Tree) -> None:
    control = (tree.debian / "control").read_text()
    lamp = stanza(control, LAMP)
    assert lamp["Depends"] == "camera-agent (= ${binary:Version}), python3-numpy, ${misc:Depends}"
    assert lamp["Description"] == "lamps as cameras"
    assert " lamps.\n" in control
    assert stanza(control, "camera-agent")["Recommends"] == f"{LAMP} (= ${{binary:Version}})"
    assert "@" not in control.replace("@example.org", "")
    assert not (tree.debian / "control.in").exists()


def test_a_plugin_that_few_need_is_only_suggested(tmp_path: Path, make_wheel: MakeWheel) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    tree = Tree(folder, make_wheel, suggested=frozenset({LAMP}))
    agent = stanza((tree.debian / "control").read_text(), "camera-agent")
    assert agent["Suggests"].startswith(f"{LAMP} (= ${{binary:Version}}), gstreamer")
    assert agent["Recommends"] == ""


def test_the_plugins_files_are_in_its_package_and_not_in_the_agents(tree: Tree) -> None:
    assert (tree.lamp / SITE / "lamps/__init__.py").exists()
    assert (tree.lamp / SITE / "camera_agent_lamp_tier/__init__.py").exists()
    assert sorted(path.name for path in (tree.agent / SITE).iterdir()) == [
        "anyio",
        "anyio-1.0.dist-info",
        "camera_agent",
        "camera_agent-1.0.dist-info",
    ]


def test_the_plugin_is_on_while_its_package_is_installed(tree: Tree) -> None:
    (path,) = (tree.lamp / "usr/share/camera-agent/conf.d").iterdir()
    assert path.name == "50-lamp_tier.toml"
    assert tomllib.loads(path.read_text()) == {"plugins": {"enable": {"lamp_tier": True}}}
    assert not (tree.agent / "usr/share/camera-agent/conf.d").exists()
    assert not (tree.lamp / "etc").exists()


def test_the_plugins_scripts_compile_and_clean_its_own_files(tree: Tree) -> None:
    assert f"py3compile -p {LAMP} " in (tree.debian / f"{LAMP}.postinst").read_text()
    assert f"py3clean -p {LAMP}" in (tree.debian / f"{LAMP}.prerm").read_text()
    update = tree.lamp / f"usr/share/python3/runtime.d/{LAMP}.rtupdate"
    assert f"-p {LAMP}" in update.read_text()
    assert update.stat().st_mode & 0o111


def test_each_package_says_its_licences(tree: Tree) -> None:
    lamp = (tree.debian / f"{LAMP}.copyright").read_text()
    assert "/libglow-*\n" in lamp
    assert "License: GPL-3.0-or-later\n" in lamp
    agent = (tree.debian / "camera-agent.copyright").read_text()
    assert "libglow" not in agent
    assert "Files: usr/lib/camera-agent/wheels/pip-26.3-py3-none-any.whl\n" in agent
    assert "\nSources\n" in (tree.debian / f"{LAMP}.README.Debian").read_text()


def test_plugins_are_bound_to_the_packaged_versions(tree: Tree) -> None:
    lines = (tree.agent / "usr/lib/camera-agent/constraints.txt").read_text().splitlines()
    assert lines == ["anyio==1.0", "camera-agent==1.0", f"{LAMP}==1.0", "lamps==1.0"]
    (wheel,) = (tree.agent / "usr/lib/camera-agent/wheels").iterdir()
    assert wheel.name == "pip-26.3-py3-none-any.whl"


def test_a_summary_that_is_no_synopsis_is_refused(tmp_path: Path, make_wheel: MakeWheel) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    with pytest.raises(ValueError, match=f"{LAMP}: the description in pyproject.toml has more than 80"):
        Tree(folder, make_wheel, summary="Lamps " * 20)


def test_the_packages_have_the_agents_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first = (ROOT / "packaging/deb/debian/changelog").read_text().partition("\n")[0]
    assert first.startswith(f"camera-agent ({project['version']}) ")


def test_a_plugin_without_libraries_gets_its_package_with_its_pages(
    tmp_path: Path, make_wheel: MakeWheel
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copytree(ROOT / "packaging/deb/debian", folder / "debian")
    (folder / "licences.toml").write_text(LICENCES)
    bell, page = "camera-agent-bell", "bell/static/index.html"
    own = [
        make_wheel("camera-agent", requires=("anyio",), licence="Apache-2.0", folder="own"),
        make_wheel(
            bell,
            {page: "<p>"},
            requires=("camera-agent", "anyio"),
            plugin="bell",
            licence="MIT",
            folder="own",
        ),
    ]
    locked = [make_wheel("anyio"), make_wheel("pip", version="26.3")]
    licences = Licences.read(folder / "licences.toml")
    prepare(locked, own, folder, frozenset({bell}), licences, "2026-11-30")
    found = stanza((folder / "debian/control").read_text(), bell)
    assert found["Depends"] == "camera-agent (= ${binary:Version}), ${misc:Depends}"
    assert (folder / "tree" / bell / SITE / page).read_text() == "<p>"
    assert not (folder / "tree/camera-agent" / SITE / "bell").exists()
