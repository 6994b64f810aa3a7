"""Rules of the project's English that a program can see."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FRAGMENT = re.compile(r"(Whether|Of|What|That|Who)\b")
VAGUE = re.compile(r"\b(nobody|somebody|whoever)\b", re.IGNORECASE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def sources(root: Path) -> Iterator[Path]:
    """Yield the Python files whose English is checked, scripts without a suffix included."""
    for folder in ("agent_core", "bench", "scripts", "examples", "packaging", "plugins"):
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root).parts
            if (folder == "plugins" and "src" not in inside) or not path.is_file():
                continue
            if path.suffix == ".py" or (not path.suffix and is_python_script(path)):
                yield path


def is_python_script(path: Path) -> bool:
    """Return whether the first line of `path` starts Python."""
    first = path.read_bytes().split(b"\n", 1)[0]
    return first.startswith(b"#!") and b"python" in first


def fragments(tree: ast.Module) -> list[str]:
    """Return the docstrings that open with a fragment."""
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, DOCUMENTED))
    return [text.splitlines()[0] for text in found if text and FRAGMENT.match(text)]


def vague(tree: ast.Module) -> list[str]:
    """Return the vague subjects in docstrings and other strings."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [word for text in texts if isinstance(text, str) for word in VAGUE.findall(text)]


def faults(path: Path) -> list[str]:
    """Return the breaches of both rules in one file."""
    tree = ast.parse(path.read_text())
    return fragments(tree) + vague(tree)


def test_no_file_breaks_the_rules() -> None:
    checked = {str(path.relative_to(ROOT)): faults(path) for path in sources(ROOT)}
    assert len(checked) > 200
    assert {name: found for name, found in checked.items() if found} == {}


def test_a_fragment_and_a_vague_subject_are_found() -> None:
    tree = ast.parse('"""Whether it runs."""\nraise ValueError("nobody listens")\n')
    assert (fragments(tree), vague(tree)) == (["Whether it runs."], ["nobody"])
