"""The shape of the code, held by reading it: sizes, boundaries, public faces."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent_core
import agent_core.plugin

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("agent_core", "plugins", "examples", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if not {".venv", "build", "tests"} & set(path.parts)
)
LABORATORY = sorted(path for folder in ("tests/vm", "packaging") for path in (ROOT / folder).rglob("*.py"))
PLUGIN_SOURCES = [path for path in SOURCES if "plugins" in path.parts and "src" in path.parts]
#: What plugins may import of the agent, besides agent_core.testing.
PUBLIC_TOOLS = {
    "commands",
    "controls",
    "ffmpeg",
    "frames",
    "jpeg",
    "matching",
    "processes",
    "rtsp",
    "sessions",
    "state",
    "video",
}

#: Small modules that each plugin or command has by their role.
ROLES = {"__init__", "__main__", "plugin", "settings"}
#: How a module's docstring states that it is small on purpose.
REASON = re.compile(r"\bapart from\b|\ba module of its own\b", re.IGNORECASE)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[FunctionNode]:
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            yield node


def length(function: FunctionNode) -> int:
    """Lines without the docstring."""
    first = function.body[0]
    docstring = ast.get_docstring(function, clean=False) is not None
    skipped = (first.end_lineno or 0) - first.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - skipped


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", [*SOURCES, *LABORATORY], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_at_most_400_lines_and_functions_40(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    too_long = {each.name: length(each) for each in functions(ast.parse(text)) if length(each) > 40}
    assert not too_long


@pytest.mark.parametrize("path", [*SOURCES, *LABORATORY], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_catch_all_modules(path: Path) -> None:
    assert path.stem not in {"helpers", "utils", "util", "common", "misc"}


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_see_only_the_public_face(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    others = {each.name for each in (ROOT / "plugins").iterdir()} - {own}
    for name in imports(ast.parse(path.read_text())):
        top, *rest = name.split(".")
        assert top not in others, f"{own} imports the plugin {top}"
        if top == "agent_core":
            allowed = rest[:1] in (["plugin"], ["testing"])
            if rest[:1] == ["plugin"] and len(rest) > 1:
                allowed = rest[1] in PUBLIC_TOOLS or rest[1] in agent_core.plugin.__all__
            assert allowed, f"{own}: {name}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :] if "src" in parts else parts)


def test_a_small_module_with_one_importer_states_its_reason() -> None:
    """Test tools of `agent_core.testing` are imported by tests, which count only there."""
    tests = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "plugins").glob("*/tests/**/*.py")]
    imported = {path: set(imports(ast.parse(path.read_text()))) for path in [*SOURCES, *tests]}
    silent = []
    for path in SOURCES:
        text, name = path.read_text(), module_name(path)
        if len(text.splitlines()) >= 60 or path.stem in ROLES or "commands" in path.parts:
            continue
        users = SOURCES if "testing" not in path.parts else [*SOURCES, *tests]
        importers = [
            each for each in users if any(f"{used}.".startswith(f"{name}.") for used in imported[each])
        ]
        if len(importers) == 1 and not REASON.search(ast.get_docstring(ast.parse(text)) or ""):
            silent.append(f"{path.relative_to(ROOT)}, imported by {importers[0].relative_to(ROOT)}")
    assert not silent, "merge each with its importer, or let its docstring say `Apart from ..., so that ...`"


def modules() -> list[str]:
    found = pkgutil.walk_packages(agent_core.__path__, "agent_core.")
    return [each.name for each in found if not each.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_what_a_module_exports_exists_and_is_sorted(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert not _defines_public(Path(module.__file__ or "")), (
            f"{name} defines public names without __all__"
        )
        return
    assert isinstance(exported, tuple)
    assert all(hasattr(module, each) for each in exported)
    assert len(set(exported)) == len(exported)


def _defines_public(path: Path) -> bool:
    body = ast.parse(path.read_text()).body
    return any(
        isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_") for node in body
    )


def test_every_plugin_has_its_parts() -> None:
    for folder in sorted(each for each in (ROOT / "plugins").iterdir() if (each / "pyproject.toml").exists()):
        name = folder.name
        readme = (folder / "README.md").read_text().splitlines()
        assert (folder / "src" / name / "py.typed").exists(), name
        assert list((folder / "tests").rglob("test_*.py")), name
        assert f'name = "camera-agent-{name.replace("_", "-")}"' in (folder / "pyproject.toml").read_text()
        first = next(line for line in readme[1:] if line.strip()) if readme[0].startswith("#") else readme[0]
        assert any(word in first for word in ("source", "tier", "component", "page")), f"{name}: {first}"


def test_no_registry_is_named_anywhere() -> None:
    """Sources come by name through the clients as they are set up; a committed host would bind us to one."""
    words = (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("debian", "org"), ("golang", "org"))
    hosts = [".".join(pair) for pair in words]
    tracked = (
        path for pattern in ("*.py", "*.toml", "*.md", "*.lock", "Makefile") for path in ROOT.rglob(pattern)
    )
    for path in tracked:
        if not {".venv", ".tools", ".cache", ".git", "build", "dist"} & set(path.relative_to(ROOT).parts):
            assert not any(host in path.read_text() for host in hosts), path
