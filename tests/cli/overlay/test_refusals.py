"""Wheels and circumstances that are refused; each time the overlay is as it was before."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.overlay.conftest import TAG, Box, environment, make_wheel

pytestmark = pytest.mark.timeout(240)

OLD_API = "\nLamp.hookspec_api = '>=99'\n"
SOURCE = "from agent_core.plugin import Plugin, Settings\n\n\nclass Lamp(Plugin[Settings]):\n    pass\n"


def conflicting(folder: Path) -> Path:
    return make_wheel(folder, "bad", requires=["pydantic<2.11"])


def for_another_agent(folder: Path) -> Path:
    return make_wheel(folder, "bad", requires=["camera-agent>=9"])


def with_other_hooks(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": SOURCE + OLD_API})


def failing_at_import(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": "raise RuntimeError('no driver')\n"})


def with_the_name_of_another(folder: Path) -> Path:
    entry_points = "[camera_agent.plugins]\nvirtual_camera = bad:Lamp\n"
    return make_wheel(folder, "bad", files={"bad.py": SOURCE}, entry_points=entry_points)


def without_a_plugin(folder: Path) -> Path:
    return make_wheel(folder, "bad", entry_points="")


def in_place_of_a_library(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": SOURCE, "pydantic/__init__.py": ""})


def of_the_agent(folder: Path) -> Path:
    return make_wheel(folder, "pydantic", version="99")


def run_by_each_python(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": SOURCE, "sitecustomize.py": ""})


def leading_out(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": SOURCE, "../../../escaped.py": ""})


def cut_short(folder: Path) -> Path:
    wheel = make_wheel(folder, "bad")
    wheel.write_bytes(wheel.read_bytes()[:300])
    return wheel


def damaged(folder: Path) -> Path:
    wheel = make_wheel(folder, "bad")
    wheel.write_bytes(wheel.read_bytes().replace(b"class Lamp", b"class Limp", 1))
    return wheel


def for_another_machine(folder: Path) -> Path:
    return make_wheel(folder, "bad").rename(folder / "bad-1.0-cp39-cp39-manylinux2014_s390x.whl")


def of_source_code(folder: Path) -> Path:
    return make_wheel(folder, "bad").rename(folder / "bad-1.0.tar.gz")


def that_is_not_there(folder: Path) -> Path:
    return folder / "bad-1.0-py3-none-any.whl"


def with_a_file_of_another(folder: Path) -> Path:
    return make_wheel(folder, "bad", files={"bad.py": SOURCE, "lens.py": SOURCE + "OTHER = True\n"})


def misnamed(folder: Path) -> Path:
    return make_wheel(folder, "bad").rename(folder / "bad.whl")


def a_fifo(folder: Path) -> Path:
    path = folder / "bad-1.0-py3-none-any.whl"
    os.mkfifo(path)
    return path


@pytest.fixture
def with_lens(box: Box, tmp_path: Path) -> Box:
    """A box whose overlay has the plugin `lens`."""
    assert box.plugins("install", str(make_wheel(tmp_path / "lens", "lens"))).code == 0
    return box


REFUSED: tuple[tuple[Callable[[Path], Path], str, str], ...] = (
    (conflicting, "versions_conflict", "bad 1.0 depends on pydantic<2.11; this agent has pydantic=="),
    (for_another_agent, "versions_conflict", "this agent has camera-agent==0.1.0"),
    (with_other_hooks, "wrong_api_version", "needs plugin API >=99"),
    (failing_at_import, "import_failed", "no driver"),
    (with_the_name_of_another, "name_clash", "virtual_camera"),
    (without_a_plugin, "no_plugin", "bad offers no plugin"),
    (in_place_of_a_library, "replaces_library", "bad 1.0 contains the module pydantic"),
    (of_the_agent, "part_of_agent", "pydantic is part of the agent"),
    (run_by_each_python, "replaces_library", "sitecustomize"),
    (leading_out, "unusable_wheel", "outside of the plugins' folder"),
    (cut_short, "unusable_wheel", "damaged"),
    (damaged, "unusable_wheel", "damaged"),
    (misnamed, "unusable_wheel", "its name"),
    (for_another_machine, "other_platform", f"is for cp39-cp39-manylinux2014_s390x; this agent has {TAG} on"),
    (of_source_code, "unusable_wheel", "is not a wheel"),
    (that_is_not_there, "no_such_file", "There is no file"),
    (with_a_file_of_another, "files_clash", "bad and lens both contain lens.py"),
    (a_fifo, "unsafe_file", "not a regular file"),
)


def test_what_is_refused_changes_nothing(with_lens: Box, tmp_path: Path) -> None:
    before = with_lens.contents()
    for make, reason, said in REFUSED:
        folder = tmp_path / make.__name__
        folder.mkdir()
        ended = with_lens.plugins("install", str(make(folder)))
        assert (ended.code, ended.reason) == (1, reason), (make.__name__, ended.err)
        assert said in ended.details, make.__name__
        assert with_lens.contents() == before, make.__name__
    assert with_lens.listed()["lens"]["origin"] == "overlay"


def test_a_file_that_two_contain_stays_while_one_of_them_is_there(with_lens: Box, tmp_path: Path) -> None:
    """Both have the same file, as those that share a folder of modules; tests that wheels contain by mistake do not matter."""
    shared = {"common/__init__.py": "", "tests/test_all.py": "NAME = 'lamp'\n"}
    lamp = make_wheel(tmp_path, "lamp", files={"lamp.py": SOURCE, **shared})
    shared["tests/test_all.py"] = "NAME = 'lens'\n"
    lens = make_wheel(tmp_path, "lens", version="1.1", files={"lens.py": SOURCE, **shared})
    assert with_lens.plugins("install", str(lamp), str(lens)).code == 0
    common = with_lens.overlay / TAG / "site-packages/common/__init__.py"
    assert with_lens.plugins("remove", "lamp").code == 0
    assert common.exists()
    assert with_lens.plugins("remove", "lens").code == 0
    assert not common.parent.exists()


@pytest.mark.parametrize("item", ["lamp @ https://example.org/lamp.whl", "lamp !! 1", "-lamp"])
def test_what_is_no_distribution_is_wrong_usage(box: Box, item: str) -> None:
    assert box.plugins("install", item).code == 2


def test_what_a_wheel_brings_besides_its_modules_does_nothing(box: Box, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    files = {
        "lamp.py": SOURCE,
        "lamp.pth": f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n",
        "lamp-1.0.data/scripts/camera-agent": "#!/bin/sh\n",
        "lamp-1.0.data/data/etc/lamp.conf": "",
    }
    entry_points = "[camera_agent.plugins]\nlamp = lamp:Lamp\n[console_scripts]\ncamera-agent = lamp:Lamp\npip = lamp:Lamp\n"
    wheel = make_wheel(tmp_path, "lamp", files=files, entry_points=entry_points)
    installed = box.plugins("install", str(wheel), json=False)
    assert "Left out lamp.pth" in installed.out, installed.err
    assert box.plugins("enable", "lamp").code == 0
    assert box.listed()["lamp"]["state"] == "LOADED"
    assert not marker.exists()
    names = {path.name for path in box.root.rglob("*")}
    assert not {"lamp.pth", "lamp.conf", "bin"} & names
    assert not list(box.root.rglob("camera-agent/camera-agent"))
    assert [path for path in box.root.rglob("camera-agent") if path.is_file()] == []


def test_the_environment_and_the_users_files_change_nothing(box: Box, hello: Path, tmp_path: Path) -> None:
    home, programs = tmp_path / "home", tmp_path / "bin"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(f"[install]\ntarget = {tmp_path}/elsewhere\n")
    programs.mkdir()
    for name in ("python3", "setpriv", "prlimit", "pip"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (programs / name).chmod(0o755)
    env = {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PIP_TARGET": f"{tmp_path}/elsewhere",
        "PIP_CONSTRAINT": "/nonexistent",
        "PIP_INDEX_URL": "http://127.0.0.1:9",
        "PYTHONPATH": str(programs),
    }
    installed = box.plugins("install", str(hello), env=env)
    assert installed.code == 0, installed.err
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "ran").exists()


def test_an_index_that_is_not_reached_is_said(box: Box) -> None:
    ended = box.plugins("install", "lamp", "--index-url", "http://127.0.0.1:9/simple")
    assert (ended.code, ended.reason) == (1, "no_network"), ended.err
    assert not (box.overlay / TAG).exists()


def test_a_folder_of_wheels_without_it_is_said(box: Box, tmp_path: Path) -> None:
    ended = box.plugins("install", "lamp", "--find-links", str(tmp_path))
    assert (ended.code, ended.reason) == (1, "pip_failed")
    assert "lamp" in ended.details


def test_a_folder_that_others_may_write_to_is_neither_used_nor_changed(
    with_lens: Box, tmp_path: Path
) -> None:
    with_lens.overlay.chmod(0o777)
    assert "lens" not in with_lens.listed()
    assert "is writable by other accounts" in with_lens.plugins("list", json=False).out
    lamp = make_wheel(tmp_path, "lamp")
    assert with_lens.plugins("install", str(lamp)).reason == "overlay_refused"
    with_lens.overlay.chmod(0o755)
    if os.geteuid() == 0:
        os.chown((with_lens.overlay / TAG / "site-packages").resolve(), 65534, 65534)
        assert "lens" not in with_lens.listed()
        assert "belongs to another account" in with_lens.plugins("list", json=False).out
        assert with_lens.plugins("install", str(lamp)).reason == "overlay_refused"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_only_root_changes_plugins(with_lens: Box) -> None:
    as_nobody = ("setpriv", "--reuid=65534", "--clear-groups")
    before = with_lens.contents()
    for words in (
        ("install", "lamp"),
        ("remove", "lens"),
        ("sync",),
        ("enable", "lens"),
        ("disable", "lens"),
    ):
        ended = with_lens.plugins(*words, before=as_nobody)
        assert (ended.code, ended.reason) == (1, "not_root"), ended.err
    assert with_lens.contents() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(("option", "reason"), [("size=300k", "disk_full"), ("ro", "read_only")])
def test_a_disk_that_refuses_is_said(box: Box, tmp_path: Path, option: str, reason: str) -> None:
    wheel = make_wheel(tmp_path, "lamp", files={"lamp.py": SOURCE, "ballast.py": "#" * 200_000})
    mount = f'mount -t tmpfs -o mode=755,{option} tmpfs {box.overlay} && exec "$@"'
    in_mount = ("unshare", "--mount", "sh", "-c", mount, "sh")
    if subprocess.run([*in_mount, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this container may not mount")
    ended = box.plugins("install", str(wheel), before=in_mount)
    assert (ended.code, ended.reason) == (1, reason), ended.err


def test_a_killed_command_leaves_the_old_build_and_another_waits_for_none(
    with_lens: Box, tmp_path: Path
) -> None:
    """Kill the command while its trial imports the new plugin, which waits."""
    began = tmp_path / "began"
    source = f"import pathlib, time\npathlib.Path({str(began)!r}).touch()\ntime.sleep(100)\n"
    wheel = make_wheel(tmp_path, "slow", files={"slow.py": source})
    before = (with_lens.overlay / TAG).readlink()
    wanted = (with_lens.overlay / "plugins.txt").read_bytes()
    argv = with_lens.argv("plugins", "install", str(wheel))
    process = subprocess.Popen(argv, env=environment(with_lens.root))  # noqa: TID251 - killed below
    try:
        for _ in range(600):
            if began.exists():
                break
            time.sleep(0.1)
        assert began.exists()
        assert with_lens.plugins("sync").reason == "plugins_busy"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert (with_lens.overlay / TAG).readlink() == before
    assert (with_lens.overlay / "plugins.txt").read_bytes() == wanted
    assert with_lens.listed()["lens"]["origin"] == "overlay"
    assert with_lens.plugins("remove", "lens").code == 0
    builds = list(with_lens.overlay.glob(f".{TAG}-*"))
    assert [each.name for each in builds] == [(with_lens.overlay / TAG).readlink().name]
