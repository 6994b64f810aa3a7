"""The example as its author would ship it: built as a wheel, installed outside the workspace, enabled by configuration."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/hello_plugin"

CONFTEST = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def run(*argv: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        argv, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing in it but the example, unpacked from its wheel."""
    folder = tmp_path_factory.mktemp("hello")
    uv = str(ROOT / ".tools/bin/uv")
    if not Path(uv).exists():
        pytest.skip("uv is not in .tools; `make test` puts it there")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", str(folder / "dist"), str(EXAMPLE), folder=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    target = ["--target", str(folder / "site"), "--python", sys.executable]
    run(uv, "pip", "install", "--quiet", "--no-deps", *target, str(wheel), folder=folder)
    return folder / "site"


def test_it_is_about_thirty_lines() -> None:
    """Imports, blank lines and the docstring not counted."""
    lines = (EXAMPLE / "hello_plugin.py").read_text().splitlines()[1:]
    assert sum(bool(line.strip()) and not line.startswith(("import", "from")) for line in lines) <= 35


@pytest.mark.timeout(180)
def test_the_contracts_hold_outside_the_workspace(site: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text((EXAMPLE / "tests/test_hello_plugin.py").read_text())
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    finished = run(*argv, folder=tmp_path, PYTHONPATH=str(site))
    assert "10 passed" in finished.stdout


@pytest.mark.timeout(180)
def test_configuration_alone_enables_it(site: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[plugins]\nenabled = ["hello_plugin"]\n[plugins.hello_plugin]\ncolour = "tomato"\n')
    argv = [sys.executable, "-m", "agent_core", "plugins", "check", "--json", "--config", str(config)]
    told = json.loads(run(*argv, folder=tmp_path, PYTHONPATH=str(site)).stdout)
    (plugin,) = told["plugins"] if isinstance(told, dict) else told
    assert (plugin["name"], plugin["state"]) == ("hello_plugin", "LOADED")
