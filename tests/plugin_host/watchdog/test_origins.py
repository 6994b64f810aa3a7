"""Places of a plugin's code, found without importing it."""

import sys
from pathlib import Path

import pytest

from agent_core.config import PluginsConfig
from agent_core.plugin_host.watchdog.origins import enabled_origins


def test_an_installed_plugin_owns_its_package_and_nothing_else() -> None:
    (found,) = enabled_origins(PluginsConfig(enabled=("virtual_camera",)))
    assert found.version
    (root,) = found.roots
    assert found.owns(f"{root}/source.py")
    assert not found.owns(f"{root}_more/source.py")
    assert not found.owns(__file__)


def test_other_settings_are_another_identity() -> None:
    def identity(**settings: object) -> object:
        config = PluginsConfig.model_validate({"enabled": ["virtual_camera"], "virtual_camera": settings})
        return enabled_origins(config)[0].identity

    assert identity(a=1, b=2) == identity(b=2, a=1)
    assert identity(a=1) != identity(a=2)
    assert identity(a=1, required=True) == identity(a=1)


def test_one_that_is_not_installed_owns_nothing() -> None:
    (found,) = enabled_origins(PluginsConfig(enabled=("nobody_has_this",)))
    assert (found.roots, found.version) == ((), "")


@pytest.mark.parametrize(
    ("module", "owned", "foreign"),
    [
        ("single_of_test", "single_of_test.py", "single_of_test_2.py"),
        ("package_of_test.deep.er", "package_of_test/other.py", "package_of_test.txt"),
        ("space_of_test.one.plugin", "space_of_test/one/plugin.py", "space_of_test/two/plugin.py"),
        ("space_of_test.lone", "space_of_test/lone.py", "space_of_test/two/plugin.py"),
    ],
)
def test_nothing_is_imported_to_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, owned: str, foreign: str
) -> None:
    for name in ("single_of_test.py", "package_of_test/__init__.py", "package_of_test/other.py", "space_of_test/lone.py",
                 "space_of_test/one/plugin.py", "space_of_test/two/plugin.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('imported')\n")
    metadata = tmp_path / "some-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[camera_agent.plugins]\nsome_of_test = {module}:Plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = enabled_origins(PluginsConfig(enabled=("some_of_test",)))
    assert found.owns(str(tmp_path / owned))
    assert not found.owns(str(tmp_path / foreign))
    assert not [
        name for name in sys.modules if "_of_test" in name and name.startswith(("single", "package", "space"))
    ]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("RECORD", b"some_of_test.py,,\n\n"),
        ("RECORD", b"\xff\xfe"),
        ("METADATA", b""),
        ("METADATA", b"\0" * 100),
        ("entry_points.txt", b"[camera_agent.plugins]\nbroken_of_test = !!\n"),
    ],
    ids=["blank line", "files no text", "empty", "zeros", "no module"],
)
def test_damaged_metadata_of_a_plugin_cost_no_other_plugin_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes
) -> None:
    metadata = tmp_path / "broken_of_test-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_of_test\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nbroken_of_test = broken_of_test:Plugin\n"
    )
    (metadata / file).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    broken, other = enabled_origins(PluginsConfig(enabled=("broken_of_test", "virtual_camera")))
    assert broken.version == ("" if file == "METADATA" else "1.0")
    assert other.version
    assert other.roots
