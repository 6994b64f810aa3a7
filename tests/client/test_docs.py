"""The example of `docs/client.md` runs."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from tests.conftest import ToyAgent

DOCS = (Path(__file__).parents[2] / "docs/client.md").read_text()


async def test_the_python_example(toy: "ToyAgent", tmp_path: Path) -> None:
    (example,) = re.findall(r"<!-- example.*?-->\n```python\n(.*?)```", DOCS, re.DOTALL)
    environment = {"CAMERA_AGENT_URL": toy.url, "CAMERA_AGENT_TOKEN": toy.token()}
    with anyio.fail_after(30):
        done = await anyio.run_process(
            [sys.executable, "-c", example], env=environment, cwd=tmp_path, check=False
        )
    assert done.stderr == b""
    assert done.stdout.decode().splitlines()[0] == "camera0 CONNECTED"
    assert (tmp_path / "front.jpg").read_bytes() == (toy.snapshots / "camera0/a b.jpg").read_bytes()
