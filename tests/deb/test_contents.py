"""Rules by which wheels come into packages."""

import zipfile
from pathlib import Path

import pytest

from contents import Distribution, distribution, packages, plugins_apart, plugins_suggested
from tests.deb.conftest import MakeWheel

ROOT = Path(__file__).parents[2]


def made(name: str, *requires: str, plugins: tuple[str, ...] = ()) -> Distribution:
    return Distribution(name, "1.0", f"Summary of {name}", frozenset(requires), plugins)


AGENT = made("camera-agent", "anyio")
ANYIO = made("anyio", "idna")
IDNA = made("idna")


def test_a_wheels_metadata(make_wheel: MakeWheel) -> None:
    requires = (
        "Anyio>=4",
        "tomli; python_version < '3.12'",
        "uvloop; extra == 'fast'",
        "pywin32; sys_platform == 'win32'",
    )
    wheel = make_wheel("camera-agent-lamp_tier", requires=requires, plugin="lamp_tier", version="2.1")
    read = distribution(wheel, "3.11")
    assert (read.name, read.version, read.plugins) == ("camera-agent-lamp-tier", "2.1", ("lamp_tier",))
    assert read.requires == {"anyio", "tomli"}
    assert distribution(wheel, "3.13").requires == {"anyio"}


def test_what_one_machine_needs_is_included_on_every_building_machine(make_wheel: MakeWheel) -> None:
    requires = (
        "neon; platform_machine == 'aarch64'",
        "sse; platform_machine == 'x86_64'",
        "alti; platform_machine == 'ppc64'",
    )
    assert distribution(make_wheel("fast", requires=requires), "3.11").requires == {"neon", "sse"}


def test_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("odd.py", "")
    with pytest.raises(ValueError, match=r"odd-1\.0-py3-none-any\.whl has no metadata"):
        distribution(path, "3.11")


def test_the_agents_package_has_the_plugins_and_what_they_need() -> None:
    lamp = made("camera-agent-lamp-tier", "camera-agent", "idna", plugins=("lamp_tier",))
    (agent,) = packages([AGENT, ANYIO, IDNA, lamp, made("pip")], ["camera-agent", lamp.name], [])
    assert agent.distributions == {"camera-agent", "anyio", "idna", "camera-agent-lamp-tier"}
    assert agent.depends == frozenset()


def test_a_package_of_its_own_has_only_what_the_agents_lacks() -> None:
    lamp = made("camera-agent-lamp-tier", "camera-agent", "idna", "lamps", plugins=("lamp_tier",))
    found = packages([AGENT, ANYIO, IDNA, lamp, made("lamps")], ["camera-agent", lamp.name], [lamp.name])
    agent, own = found
    assert agent.distributions == {"camera-agent", "anyio", "idna"}
    assert own.distributions == {"camera-agent-lamp-tier", "lamps"}
    assert (own.name, own.plugins, own.summary) == (lamp.name, ("lamp_tier",), lamp.summary)


def test_a_library_of_two_packages_has_its_own() -> None:
    lamp = made("camera-agent-lamp-tier", "camera-agent", "glow", "lamps", "numpy", plugins=("lamp_tier",))
    bell = made("camera-agent-bell-tier", "camera-agent", "glow", "numpy", plugins=("bell_tier",))
    available = [AGENT, ANYIO, IDNA, lamp, bell, made("glow"), made("lamps")]
    names = ["camera-agent", lamp.name, bell.name]
    found = {each.name: each for each in packages(available, names, names[1:])}
    library = "camera-agent-lib-glow (= ${binary:Version})"
    assert found[lamp.name].distributions == {lamp.name, "lamps"}
    assert found[bell.name].distributions == {bell.name}
    assert found[lamp.name].depends == found[bell.name].depends == {library, "python3-numpy"}
    assert found["camera-agent-lib-glow"].distributions == {"glow"}
    assert not found["camera-agent-lib-glow"].plugins


def test_a_plugin_that_needs_another_depends_on_its_package() -> None:
    lamp = made("camera-agent-lamp-tier", "camera-agent", "glow", plugins=("lamp_tier",))
    bell = made("camera-agent-bell-tier", "camera-agent", lamp.name, plugins=("bell_tier",))
    names = ["camera-agent", lamp.name, bell.name]
    found = {
        each.name: each for each in packages([AGENT, ANYIO, IDNA, lamp, bell, made("glow")], names, names[1:])
    }
    assert found[bell.name].distributions == {bell.name}
    assert found[bell.name].depends == {f"{lamp.name} (= ${{binary:Version}})"}
    assert found[lamp.name].distributions == {lamp.name, "glow"}
    assert len(found) == 3


def test_what_debian_provides_becomes_a_dependency() -> None:
    lamp = made("camera-agent-lamp-tier", "camera-agent", "numpy")
    agent, own = packages([AGENT, ANYIO, IDNA, lamp], ["camera-agent", lamp.name], [lamp.name])
    assert not agent.depends
    assert own.depends == {"python3-numpy"}
    assert "numpy" not in own.distributions


def test_what_any_python_needs_is_included() -> None:
    old = made("anyio", "idna", "exceptiongroup")
    (agent,) = packages([AGENT, old, ANYIO, IDNA, made("exceptiongroup")], ["camera-agent"], [])
    assert "exceptiongroup" in agent.distributions


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(ValueError, match="no wheel of idna; run `make lock`"):
        packages([AGENT, ANYIO], ["camera-agent"], [])


def test_plugins_say_themselves_that_they_are_apart(tmp_path: Path) -> None:
    marks = (("lamp_tier", "own"), ("horn_tier", "suggested"), ("bell_tier", ""))
    for name, mark in marks:
        more = f'\n[tool.camera-agent]\ndeb = "{mark}"\n' if mark else ""
        folder = tmp_path / "plugins" / name
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(f'[project]\nname = "camera-agent-{name}"\n{more}')
    assert plugins_apart(tmp_path) == {"camera-agent-horn-tier", "camera-agent-lamp-tier"}
    assert plugins_suggested(tmp_path) == {"camera-agent-horn-tier"}
    assert plugins_apart(ROOT) == {
        "camera-agent-mqtt-bridge",
        "camera-agent-rtsp-tier",
        "camera-agent-web-console",
    }
    assert plugins_suggested(ROOT) == {"camera-agent-mqtt-bridge"}
