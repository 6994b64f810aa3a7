"""A plugin's life in the overlay: installed, enabled, at work, kept by an upgrade of the agent, removed."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.overlay.conftest import TAG, Box, environment, fill_base, make_wheel

pytestmark = pytest.mark.timeout(240)


@contextmanager
def running(box: Box, *options: str) -> Iterator[Path]:
    """Run the agent; yield its log once it listens."""
    log = box.root / "log"
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: TID251 - ended below
            box.argv("run", *options), env=environment(box.root), stdout=file, stderr=file
        )
        try:
            for _ in range(600):
                if "listening on" in log.read_text() or process.poll() is not None:
                    break
                time.sleep(0.1)
            assert process.poll() is None, log.read_text()
            yield log
        finally:
            process.terminate()
            process.wait(60)


def test_the_example_from_its_wheel_to_its_end(box: Box, hello: Path, tmp_path: Path) -> None:
    installed = box.plugins("install", str(hello))
    assert [(row["name"], row["state"]) for row in installed.value] == [("hello_plugin", "LOADED")], (
        installed.err
    )
    assert box.listed()["hello_plugin"] == {
        "name": "hello_plugin",
        "version": "0.1.0",
        "distribution": "camera-agent-hello-plugin",
        "origin": "overlay",
        "state": "NOT_ENABLED",
        "reason": "",
        "details": "",
        "suggestion": "",
    }
    assert box.listed()["virtual_camera"]["origin"] == "package"

    assert box.plugins("enable", "hello_plugin").value["enabled"] is True
    with running(box):
        (camera,) = box.run("cameras").value["cameras"]
        picture = tmp_path / "hello.jpg"
        taken = box.run("snapshot", camera["device"], "-o", str(picture))
        assert (taken.code, picture.read_bytes()[:2]) == (0, b"\xff\xd8"), taken.err
    assert not list((box.base / "site-packages").glob("*hello*"))

    shutil.rmtree(box.root / "usr")
    fill_base(box, "0.1.7")
    assert box.listed()["hello_plugin"]["state"] == "LOADED"
    assert box.listed()["virtual_camera"]["version"] == "0.1.7"

    assert box.plugins("disable", "hello_plugin").code == 0
    assert box.listed()["hello_plugin"]["state"] == "NOT_ENABLED"
    assert box.plugins("enable", "hello_plugin").code == 0
    assert box.plugins("remove", "hello_plugin").value == {"removed": ["hello_plugin"]}
    assert "hello_plugin" not in box.listed()
    assert not box.switches.exists()
    left = {path.name for path in box.overlay.rglob("*")} - {".lock", "cp", TAG, "wheels", "plugins.txt"}
    assert {name for name in left if not name.startswith(f".{TAG}-")} == {"site-packages", "build.json"}


def test_safe_mode_loads_only_what_came_with_the_agent(box: Box, hello: Path) -> None:
    box.plugins("install", str(hello))
    box.config.write_text(
        box.config.read_text()
        + '[plugins]\nenabled = ["hello_plugin", "virtual_camera"]\n[plugins.hello_plugin]\nrequired = true\n'
    )
    with running(box, "--safe-mode") as log:
        info = box.run("call", "get_server_info").value
        assert {each["name"]: (each["status"], each["reason"]) for each in info["plugins"]} == {
            "hello_plugin": ("SKIPPED", "safe_mode"),
            "virtual_camera": ("LOADED", ""),
        }
        assert (info["safe_mode"], box.run("call", "get_status").value["safe_mode"]) == (True, True)
        assert "safe mode" in log.read_text()
    with running(box):
        info = box.run("call", "get_server_info").value
        assert (info["safe_mode"], {each["status"] for each in info["plugins"]}) == (False, {"LOADED"})


def test_wanted_plugins_are_missed_after_a_change_of_python_and_built_anew(box: Box, tmp_path: Path) -> None:
    lamp, lens = (make_wheel(tmp_path / "wheels", name) for name in ("lamp", "lens"))
    assert box.plugins("install", str(lamp), str(lens)).code == 0
    assert box.plugins("sync", "--check").code == 0
    (box.overlay / TAG).rename(box.overlay / "cp310")
    box.config.write_text(box.config.read_text() + '[plugins]\nenabled = ["lamp"]\n')
    with running(box) as log:
        assert (
            f"Plugins are wanted but not built for {TAG}: lamp, lens. Run `camera-agent plugins sync`"
            in log.read_text()
        )
        (problem,) = (
            each
            for each in box.run("call", "get_system_status").value["problems"]
            if each["reason"] == "plugins_not_built"
        )
        assert "lamp" in problem["details"]
    found = {row["name"]: row for row in box.run("doctor").value}
    assert found["installed plugins"]["status"] == "FAILED"
    assert box.listed()["lamp"]["state"] == "FAILED"
    before = box.contents()
    told = box.plugins("sync", "--check")
    assert (told.code, [each["reason"] for each in told.value]) == (1, ["plugins_not_built"])
    assert box.contents() == before
    assert {row["name"] for row in box.plugins("sync").value} == {"lamp", "lens"}
    assert box.listed()["lamp"]["state"] == "LOADED"
    assert not (box.overlay / "cp310").exists(), "the builds for other versions of Python are of no use"


def test_an_agent_that_a_plugin_does_not_fit_is_said(box: Box, hello: Path) -> None:
    box.plugins("install", str(hello))
    shutil.rmtree(box.root / "usr")
    fill_base(box, "0.2.0")
    text = box.plugins("list", json=False).out
    assert "camera-agent-hello-plugin 0.1.0 needs camera-agent<0.2,>=0.1, but camera-agent is 0.2.0" in text
    told = box.plugins("sync", "--check", json=False)
    assert (told.code, told.out) == (1, text.splitlines()[-1] + "\n")


def test_each_stays_as_it_is_while_another_comes_and_goes(box: Box, tmp_path: Path) -> None:
    """Nothing is fetched for a plugin that is there already, nor when one goes."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "bulb", entry_points="")
    make_wheel(wheels, "lamp", requires=["bulb"])
    assert box.plugins("install", "lamp", "--find-links", str(wheels)).code == 0
    lens = make_wheel(tmp_path / "elsewhere", "lens")
    empty = tmp_path / "empty"
    empty.mkdir()
    added = box.plugins("install", str(lens), "--find-links", str(empty))
    assert {row["name"] for row in added.value} == {"lamp", "lens"}, added.err
    site = box.overlay / TAG / "site-packages"
    assert (site / "bulb.py").exists()
    assert box.plugins("remove", "lamp").code == 0
    assert [path.name for path in site.glob("*.py")] == ["lens.py"], "what only the lamp needed went with it"


def test_a_check_names_what_another_python_lacks_and_changes_nothing(box: Box, tmp_path: Path) -> None:
    """The package's postinst asks it, also with a configuration that is damaged."""
    assert (box.plugins("sync", "--check").code, box.contents()) == (0, set())
    box.plugins("install", str(make_wheel(tmp_path, "lamp", files={"lamp.py": PLUGIN_TEXT})))
    assert box.plugins("sync", "--check").value == []
    (box.overlay / TAG).unlink()
    box.config.write_text("[nonsense")
    before = box.contents()
    found = box.plugins("sync", "--check")
    assert (found.code, found.value[0]["reason"]) == (1, "plugins_not_built")
    assert "lamp" in found.value[0]["details"]
    assert TAG in found.value[0]["details"]
    said = box.plugins("sync", "--check", json=False)
    assert "Run `camera-agent plugins sync` as root." in said.out
    assert box.contents() == before


def test_another_wheel_of_the_same_version_replaces_it(box: Box, tmp_path: Path) -> None:
    box.plugins("install", str(make_wheel(tmp_path, "lamp", files={"lamp.py": "# first\n" + PLUGIN_TEXT})))
    second = make_wheel(tmp_path, "lamp", files={"lamp.py": "# second\n" + PLUGIN_TEXT})
    assert box.plugins("install", str(second)).code == 0
    assert (box.overlay / TAG / "site-packages/lamp.py").read_text().startswith("# second")
    assert len(list((box.overlay / "wheels").rglob("*.whl"))) == 1


PLUGIN_TEXT = "from agent_core.plugin import Plugin, Settings\n\n\nclass Lamp(Plugin[Settings]):\n    pass\n"


def test_settings_are_asked_for_when_it_is_enabled_not_before(box: Box, tmp_path: Path) -> None:
    source = (
        "from agent_core.plugin import Plugin, Settings\n\n\nclass Needs(Settings):\n    colour: str\n\n\n"
        "class Lamp(Plugin[Needs]):\n    Settings = Needs\n"
    )
    installed = box.plugins("install", str(make_wheel(tmp_path, "lamp", files={"lamp.py": source})))
    assert (installed.code, installed.value[0]["reason"]) == (0, "wrong_settings")
    refused = box.plugins("enable", "lamp")
    assert (refused.code, refused.reason) == (1, "wrong_settings")
    assert "plugins.lamp.colour" in refused.details
    assert not box.switches.exists()
    box.config.write_text(box.config.read_text() + '[plugins.lamp]\ncolour = "red"\n')
    assert box.plugins("enable", "lamp").code == 0


def test_a_switch_that_another_file_overrides_is_said(box: Box) -> None:
    later = box.switches.with_name("70.toml")
    later.parent.mkdir()
    later.write_text("[plugins.enable]\nvirtual_camera = false\n")
    assert box.plugins("enable", "virtual_camera").reason == "overridden"
    box.switches.write_text("[server]\nport = 1\n")
    assert box.plugins("enable", "virtual_camera").reason == "edited_by_hand"
    assert json.loads(box.plugins("disable", "lamp").err)["error"]["reason"] == "not_installed"


def test_a_command_comes_with_the_overlay_and_goes_with_it(box: Box, tmp_path: Path) -> None:
    before = box.run("lamp")
    assert (before.code, "invalid choice: 'lamp'" in before.details) == (2, True)
    add = """
from agent_core.plugin import Plugin, Settings


class Lamp(Plugin[Settings]):
    pass


def add(kit):
    kit.command(lambda arguments, output: output.print_result({"lit": True}, ["lit"]) or 0, "Light the lamp.")
"""
    groups = "[camera_agent.plugins]\nlamp = lamp:Lamp\n[camera_agent.commands]\nlamp = lamp:add\n"
    wheel = make_wheel(tmp_path / "dist", "lamp", entry_points=groups, files={"lamp.py": add})
    assert box.plugins("install", str(wheel)).code == 0
    assert box.run("lamp").value == {"lit": True}
    assert "Light the lamp." in box.run("--help", json=False).out
    box.plugins("remove", "lamp")
    assert box.run("lamp").code == 2
