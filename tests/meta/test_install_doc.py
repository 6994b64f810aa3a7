"""docs/install.md is true: its commands exist, and those that can run here do what the page says."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.cli.main import _parser
from agent_core.config import load_config
from agent_core.testing import running_agent

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/install.md").read_text()
UNIT = (ROOT / "packaging/deb/debian/camera-agent.service").read_text()
EXAMPLES = "/usr/share/doc/camera-agent/examples"


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if re.match(r"[a-z]+ ", line)]


def of_the_agent() -> Iterator[list[str]]:
    """The arguments of each `camera-agent` on the page, in blocks and in sentences."""
    said = [*commands(TEXT), *re.findall(r"`((?:sudo )?camera-agent [^`]+)`", TEXT)]
    for each in said:
        words = shlex.split(each, comments=True)
        plain = words[3:] if words[:2] == ["sudo", "-u"] else words[words[0] == "sudo" :]
        if plain[:1] == ["camera-agent"]:
            yield plain[1:]


@pytest.mark.parametrize("arguments", list(of_the_agent()), ids=" ".join)
def test_the_command_line_takes_the_command(arguments: list[str]) -> None:
    if arguments == ["recordings", "get"]:
        arguments = [*arguments, "ID", "-o", "FILE"]
    assert _parser().parse_args(arguments).run


def test_the_first_snapshot_takes_at_most_ten_lines() -> None:
    (block, *_) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert "apt install" in block
    assert len(block.splitlines()) <= 10
    assert block.splitlines()[-1].endswith("first.jpg")


def test_the_packages_are_those_that_are_built() -> None:
    named = set(re.findall(r"\./(camera-agent[a-z-]*)_\*\.deb", TEXT))
    plugins = [each.read_text() for each in (ROOT / "plugins").glob("*/pyproject.toml")]
    own = {
        re.findall(r'^name = "([^"]+)"', each, re.MULTILINE)[0]
        for each in plugins
        if re.search(r'^deb = "(own|suggested)"', each, re.MULTILINE)
    }
    assert named == {"camera-agent"} | own


def test_the_files_and_folders_of_the_package_exist() -> None:
    named = set(re.findall(rf"{EXAMPLES}/([\w./-]+)", TEXT)) | {
        f"conf.d/{each}" for each in re.findall(r"the example `([\w.-]+)`", TEXT)
    }
    assert len(named) == 4
    for each in named:
        assert (ROOT / "packaging/deb/examples" / each).is_file(), each
    drop_in = (ROOT / "packaging/deb/examples/systemd/recordings-elsewhere.conf").read_text()
    assert "RequiresMountsFor=/data" in drop_in
    writable = re.findall(r"^ReadWritePaths=(.*)", UNIT, re.MULTILINE)[0].replace("-", "").split()
    assert [each for each in writable if f"`{each}`" not in section("Recordings on another disk")] == []


def test_the_settings_for_another_disk_are_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "disk.toml").write_text(block)
    assert load_config([tmp_path / "disk.toml"]).storage.recordings == Path("/data/recordings")


async def run(words: list[str], environment: Mapping[str, str], folder: Path) -> str:
    with anyio.fail_after(90):
        done = await anyio.run_process(words, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_virtual_camera_has_the_id_that_the_page_uses(tmp_path: Path) -> None:
    (last,) = (each for each in commands(section("From a bare board to the first snapshot")) if "100" in each)
    words = [sys.executable, "-m", "agent_core", *last.split()[2:]]
    config = {
        "plugins": {"enabled": ["virtual_camera"]},
        "storage": {"state_dir": tmp_path / "state", "runtime_dir": tmp_path / "run"},
    }
    environment = {**os.environ, "CAMERA_AGENT__STORAGE__STATE_DIR": str(tmp_path / "state")}
    async with running_agent(config=config):
        await run(words, environment, tmp_path)
    assert (tmp_path / "first.jpg").read_bytes().startswith(b"\xff\xd8")


def a_board(folder: Path) -> Path:
    """A root file system with the folders of the package."""
    for each in ("etc/camera-agent/conf.d", "var/lib/camera-agent/state", "var/lib/camera-agent/plugins"):
        (folder / each).mkdir(parents=True)
    (folder / "var/lib/camera-agent/state").chmod(0o700)
    return folder


def on(board: Path) -> dict[str, Any]:
    data = board / "var/lib/camera-agent"
    storage = {
        "state_dir": data / "state",
        "recordings_dir": data / "recordings",
        "snapshots_dir": data / "snapshots",
        "runtime_dir": board / "run",
    }
    return {"plugins": {"enabled": ["virtual_camera"]}, "storage": storage}


def tar(board: Path, folder: Path, verb: str) -> None:
    """Carry out the page's command on `board` instead of the root."""
    (line,) = (each for each in commands(section("Backup and restore")) if verb in each)
    words = shlex.split(line.replace("--directory /", f"--directory {shlex.quote(str(board))}"))
    assert words[:2] == ["sudo", "tar"]
    subprocess.run(words[1:], check=True, cwd=folder)


async def test_a_backup_brings_an_agent_to_another_board(tmp_path: Path) -> None:
    old, new = a_board(tmp_path / "old"), a_board(tmp_path / "new")
    (old / "etc/camera-agent/conf.d/50-own.toml").write_text("[logging]\nlevel = 'debug'\n")
    plugins = old / "var/lib/camera-agent/plugins"
    (plugins / "plugins.txt").write_text("hello\n")
    (plugins / ".cp313-12345678").mkdir()
    (plugins / "cp313").symlink_to(".cp313-12345678")
    async with running_agent(config=on(old)) as agent:
        token = agent.token("admin")
        async with agent.client() as client:
            await client.call("take_snapshot", device="camera100")
        tar(old, tmp_path, "--create")
    tar(new, tmp_path, "--extract")
    kept = {str(each.relative_to(new)) for each in new.rglob("*")}
    assert {"etc/camera-agent/conf.d/50-own.toml", "var/lib/camera-agent/plugins/plugins.txt"} <= kept
    assert not [each for each in kept if "index.sqlite" in each or "cp313" in each or "snapshots" in each]
    for name in ("recordings", "snapshots"):
        (new / "var/lib/camera-agent" / name).mkdir()
    async with running_agent(config=on(new)) as agent:
        assert agent.parts.tokens.examine(token)[0].role == "admin", "it is the secret of the old board"
        async with agent.client() as client:
            await client.call("take_snapshot", device="camera100")


def test_the_offline_command_finds_what_the_board_lacks(tmp_path: Path) -> None:
    """Of a board without packages, everything; the packages of the agent are replaced by one of Debian."""
    (line,) = (each for each in commands(section("Offline")) if "--download-only" in each)
    line = re.sub(r"\./\S+( \./\S+)*$", "python3-minimal", line).replace("--download-only", "--print-uris")
    (tmp_path / "status").touch()
    (tmp_path / "debs/partial").mkdir(parents=True)
    if shutil.which("apt-get") is None:
        pytest.skip("no apt here")
    done = subprocess.run(
        ["sh", "-c", line.removeprefix("sudo ")],
        env={**os.environ, "PWD": str(tmp_path), "LC_ALL": "C"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Unable to locate package" in done.stderr or "no installation candidate" in done.stderr:
        pytest.skip("apt has no lists here: apt-get update makes them")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^'\S+' libc6_\S+\.deb ", done.stdout, re.MULTILINE), done.stdout


READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
mount -o remount,bind,ro /tmp 2>/dev/null || true
if touch "$2/probe" 2>/dev/null; then echo "$2 is writable" >&2; exit 1; fi
exec "$3" -P -m agent_core run
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
async def test_the_agent_runs_on_a_read_only_root(tmp_path: Path) -> None:
    """Everything is read-only but a folder for the state, the sockets and the private /tmp."""
    writable, elsewhere = tmp_path / "writable", tmp_path / "elsewhere"
    for each in (writable / "state", writable / "tmp", elsewhere):
        each.mkdir(parents=True, mode=0o700)
    probe = ["unshare", "--mount", "sh", "-c", READ_ONLY.rpartition("exec")[0], "sh"]
    tried = await anyio.run_process([*probe, str(writable), str(elsewhere)], check=False)
    if tried.returncode != 0:
        pytest.skip("the root cannot be made read-only for a process here")
    environment = {
        **os.environ,
        "HOME": str(writable / "state"),
        "TMPDIR": str(writable / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CAMERA_AGENT__STORAGE__STATE_DIR": str(writable / "state"),
        "CAMERA_AGENT__STORAGE__RUNTIME_DIR": str(writable / "run"),
        "CAMERA_AGENT__SERVER__PORT": "0",
        "CAMERA_AGENT__PLUGINS__ENABLED": json.dumps(["virtual_camera", "embedded_server"]),
        "CAMERA_AGENT__PLUGINS__EMBEDDED_SERVER__API_PORT": "0",
        "CAMERA_AGENT__PLUGINS__EMBEDDED_SERVER__RTSP_PORT": "0",
    }
    words = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(writable), str(elsewhere), sys.executable]
    async with await anyio.open_process(words, env=environment, stdout=None, stderr=None) as agent:
        try:
            with anyio.fail_after(60):
                while not (writable / "state/endpoint.json").exists():
                    await anyio.sleep(0.05)
            call = [sys.executable, "-m", "agent_core", "snapshot", "camera100", "-o", "a.jpg"]
            await run(call, environment, elsewhere)
        finally:
            agent.terminate()
            await agent.wait()
    assert (elsewhere / "a.jpg").read_bytes().startswith(b"\xff\xd8")
