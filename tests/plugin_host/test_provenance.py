"""Where plugins come from, and which of them safe mode leaves out, in a checkout."""

import os
from dataclasses import replace
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest

from agent_core.base.errors import PluginError
from agent_core.config import PluginsConfig
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.models import PluginState
from agent_core.plugin_host.overlay.place import Place, agents_place, find_fault, use_overlay
from agent_core.plugin_host.overlay.wanted import unmet_requirements
from agent_core.plugin_host.provenance import Origin, barred_in_safe_mode, find_origin


def add_metadata(folder: Path, name: str, more: str = "") -> None:
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{more}")
    (metadata / "entry_points.txt").write_text(f"[camera_agent.plugins]\n{name} = {name}:Lamp\n")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The checkout's place, with an overlay below the test's folder."""
    found = replace(agents_place(), root=tmp_path / "plugins", owners=frozenset({0, os.geteuid()}))
    found.site_packages.mkdir(parents=True)
    for folder in (found.root, found.link, found.site_packages):
        folder.chmod(0o755)  # whatever the umask
    return found


def test_a_plugin_comes_from_the_checkout_the_overlay_or_elsewhere(place: Place, tmp_path: Path) -> None:
    add_metadata(place.site_packages, "lamp")
    add_metadata(tmp_path / "elsewhere", "lens")
    (lamp,) = distributions(path=[str(place.site_packages)])
    (lens,) = distributions(path=[str(tmp_path / "elsewhere")])
    assert find_origin(distribution("camera-agent-virtual-camera"), place) is Origin.CHECKOUT
    assert find_origin(distribution("pytest"), place) is Origin.ENVIRONMENT
    assert find_origin(lamp, place) is Origin.OVERLAY
    assert find_origin(lens, place) is Origin.OTHER
    assert find_origin(None, place) is Origin.OTHER


def test_safe_mode_bars_what_did_not_come_with_the_agent(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_metadata(tmp_path / "elsewhere", "lamp")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    barred = barred_in_safe_mode(("virtual_camera", "lamp", "never_installed"), place)
    assert {name: error.reason for name, error in barred.items()} == {
        "lamp": "safe_mode",
        "never_installed": "safe_mode",
    }


def test_a_barred_plugin_is_not_imported_and_not_required() -> None:
    config = PluginsConfig.model_validate({"enabled": ("lamp",), "lamp": {"required": True}})
    asked: list[str] = []

    def find(name: str) -> list[object]:
        asked.append(name)
        return []

    manager = PluginManager()
    manager.load(config, find, barred={"lamp": PluginError("No.", reason="safe_mode")})
    (status,) = manager.statuses
    assert (status.state, status.reason, asked) == (PluginState.SKIPPED, "safe_mode", [])


def test_the_overlay_comes_after_the_agents_libraries_and_before_the_systems(place: Place) -> None:
    path = ["/stdlib", str(place.libraries), "/usr/lib/python3/dist-packages"]
    use_overlay(place, path)
    use_overlay(place, path)
    assert path == [
        "/stdlib",
        str(place.libraries),
        str(place.site_packages),
        "/usr/lib/python3/dist-packages",
    ]


def test_an_overlay_that_others_may_write_to_is_not_used(place: Place) -> None:
    assert find_fault(place) is None
    place.site_packages.chmod(0o775)
    assert "is writable by other accounts" in str(find_fault(place))
    path: list[str] = []
    use_overlay(place, path)
    assert path == []


def test_only_requirements_that_apply_can_be_unmet(place: Place) -> None:
    needs = (
        "Requires-Dist: pydantic<2\nRequires-Dist: never-published\nRequires-Dist: other; sys_platform == 'win32'\n"
        "Requires-Dist: more; extra == 'more'\nRequires-Dist: pytest>=8\nRequires-Dist: !!\n"
    )
    add_metadata(place.site_packages, "lamp", needs)
    invalid, pydantic, missing = unmet_requirements(distributions(path=[str(place.site_packages)]))
    assert invalid == "lamp 1.0 has the invalid requirement '!!'"
    assert pydantic.startswith("lamp 1.0 needs pydantic<2, but pydantic is 2.")
    assert missing == "lamp 1.0 needs never-published, which is not installed"
