"""Small wheels, made in the test."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeWheel = Callable[..., Path]


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Return a function that makes a wheel of `files` and gives its path."""

    def make(
        name: str,
        files: Mapping[str, str | bytes] | None = None,
        *,
        version: str = "1.0",
        tag: str = "py3-none-any",
        requires: tuple[str, ...] = (),
        plugin: str | None = None,
        licence: str | None = "MIT",
        summary: str = "A library for tests",
        folder: str = "wheels",
    ) -> Path:
        escaped = name.replace("-", "_")
        info = f"{escaped}-{version}.dist-info"
        metadata = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nSummary: {summary}"]
        metadata += [f"License-Expression: {licence}"] if licence else []
        metadata += [f"Requires-Dist: {each}" for each in requires]
        content = {
            f"{escaped}/__init__.py": "",
            **(files or {}),
            f"{info}/METADATA": "\n".join(metadata) + "\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n",
            f"{info}/RECORD": "",
            f"{info}/licenses/LICENSE": f"Copyright (c) 2026 The authors of {name}\n\nDo as you like.\n",
        }
        if plugin is not None:
            content[f"{info}/entry_points.txt"] = f"[camera_agent.plugins]\n{plugin} = {escaped}:Plugin\n"
        path = tmp_path / folder / f"{escaped}-{version}-{tag}.whl"
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in content.items():
                archive.writestr(each, data)
        return path

    return make
