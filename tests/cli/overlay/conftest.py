"""An agent installed as its Debian package does it, below a folder in place of `/`, and wheels of plugins."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/hello_plugin"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
#: Distributions that the fixture's package contains besides those that they need.
OWN = ("camera-agent", "camera-agent-virtual-camera")
#: The search path of `packaging/deb/launcher`, below another root.
LAUNCHER = """
import sys
libraries = sys.argv.pop(1)
system = [each for each in sys.path if each.endswith(("dist-packages", "site-packages"))]
sys.path[:] = [*(each for each in sys.path if each not in system), libraries]
from agent_core.__main__ import main
sys.exit(main())
"""
PLUGIN = """
from agent_core.plugin import Plugin, Settings, hookimpl


class Lamp(Plugin[Settings]):
    pass
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)

    @property
    def reason(self) -> str:
        return str(json.loads(self.err.splitlines()[-1])["error"]["reason"])

    @property
    def details(self) -> str:
        return str(json.loads(self.err.splitlines()[-1])["error"]["details"])


@dataclass(frozen=True)
class Box:
    """Device with the agent below `root`; `config` is its main configuration file."""

    root: Path

    @property
    def base(self) -> Path:
        return self.root / "usr/lib/camera-agent"

    @property
    def overlay(self) -> Path:
        return self.root / "var/lib/camera-agent/plugins"

    @property
    def config(self) -> Path:
        return self.root / "etc/camera-agent/config.toml"

    @property
    def switches(self) -> Path:
        return self.config.parent / "conf.d/60-plugins.toml"

    def argv(self, *words: str) -> list[str]:
        libraries = str(self.base / "site-packages")
        return [base_python(), "-I", "-S", "-c", LAUNCHER, libraries, *words, "--config", str(self.config)]

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, before: Sequence[str] = (), json: bool = True
    ) -> Ran:
        argv = [*before, *self.argv(*words, *(["--json"] if json else []))]
        found = subprocess.run(
            argv, env=env or environment(self.root), capture_output=True, text=True, timeout=100, check=False
        )
        return Ran(found.returncode, found.stdout, found.stderr)

    def plugins(self, *words: str, **options: Any) -> Ran:
        return self.run("plugins", *words, **options)

    def listed(self) -> dict[str, dict[str, str]]:
        return {row["name"]: row for row in self.plugins("list").value}

    def contents(self) -> set[str]:
        """Return all that the overlay has, by link target and file; equal sets mean that nothing changed."""
        return {
            f"{path.relative_to(self.overlay)} {path.is_symlink() and path.readlink()}"
            for path in self.overlay.rglob("*")
        }


def base_python() -> str:
    return str(getattr(sys, "_base_executable", sys.executable))


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"]}


def fill_base(box: Box, version: str) -> None:
    """Install the agent and what it needs, in `version`, as `packaging/deb` lays it out."""
    libraries = box.base / "site-packages"
    libraries.mkdir(parents=True)
    shutil.copytree(ROOT / "agent_core", libraries / "agent_core")
    source = ROOT / "plugins/virtual_camera/src/virtual_camera"
    shutil.copytree(source, libraries / "virtual_camera")
    constraints = []
    for name in needed(OWN):
        found = distribution(name)
        constraints.append(f"{name}=={version if name in OWN else found.version}\n")
        copy_distribution(Path(str(found.locate_file(""))), name, libraries, version if name in OWN else "")
    (box.base / "constraints.txt").write_text("".join(constraints))


def needed(names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            required = [Requirement(text) for text in distribution(name).requires or ()]
            waiting += [
                each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})
            ]
    return found


def copy_distribution(site: Path, name: str, target: Path, version: str) -> None:
    """Link the modules of a distribution, and copy its metadata as the package has them: without RECORD."""
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or () if ".." not in file.parts}:
        path = site / top
        if top.endswith(".dist-info"):
            metadata = target / top
            shutil.copytree(path, metadata, ignore=shutil.ignore_patterns("RECORD", "direct_url.json"))
            if version:
                text = (metadata / "METADATA").read_text().replace("Version: 0.1.0", f"Version: {version}", 1)
                (metadata / "METADATA").write_text(text)
        elif path.exists() and path.suffix != ".pth" and top != "__pycache__":
            (target / top).symlink_to(path)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Not in a folder of pytest, which closes its own to other accounts whenever one more pytest starts."""
    with TemporaryDirectory(prefix="camera-agent-box-") as folder:
        Path(folder).chmod(0o711)
        yield _filled(Box(Path(folder) / "box"), tmp_path)


def _filled(made: Box, tmp_path: Path) -> Box:
    fill_base(made, "0.1.0")
    made.overlay.mkdir(parents=True)
    for folder in (made.overlay, made.overlay.parent):
        folder.chmod(0o755)  # whatever the umask
    made.config.parent.mkdir(parents=True)
    made.config.write_text(
        f'[storage]\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n[server]\nport = 0\n'
    )
    return made


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the example, as its author builds it."""
    folder = tmp_path_factory.mktemp("hello")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(argv, cwd=folder / "source", check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def make_wheel(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    requires: Sequence[str] = (),
    entry_points: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel with the module `name`, which offers a plugin of that name unless `entry_points` says otherwise."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    contents = {f"{name}.py": PLUGIN} if files is None else dict(files)
    contents |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[camera_agent.plugins]\n{name} = {name}:Lamp\n"
        if entry_points is None
        else entry_points,
    }
    record = "".join(
        f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


__all__ = ("TAG", "Box", "environment", "fill_base", "make_wheel")
