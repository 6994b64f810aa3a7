"""Modules run in real processes of their own, found where this process finds them."""

import subprocess
import sys
from pathlib import Path

from agent_core.base.python_module import python_module

MODULE = "import sys\nimport beside\nprint(__name__, sys.argv[1:], beside.WORD)\n"


def folder_of_modules(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "spoken.py").write_text(MODULE)
    (folder / "beside.py").write_text("WORD = 'found'\n")
    return folder


def test_a_module_is_found_on_a_path_that_this_process_has_changed(tmp_path: Path) -> None:
    """Like the launcher of the Debian package: the interpreter knows nothing of the folder."""
    libraries = folder_of_modules(tmp_path / "some libraries")
    launcher = f"import sys; sys.path[:] = [*sys.path, {str(libraries)!r}]\n"
    program = launcher + (
        f"sys.path.append({str(Path(__file__).parents[2])!r})\n"
        "import subprocess\n"
        "from agent_core.base.python_module import python_module\n"
        "print(subprocess.run(python_module('spoken', 'a b', '-c'), check=True, capture_output=True, text=True).stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-Is", "-c", program], check=True, capture_output=True, text=True, cwd="/"
    )
    assert done.stdout.strip() == "__main__ ['a b', '-c'] found"


def test_the_working_folder_is_not_searched(tmp_path: Path) -> None:
    folder = folder_of_modules(tmp_path / "working")
    done = subprocess.run(python_module("spoken"), check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode != 0
    assert "spoken" in done.stderr
