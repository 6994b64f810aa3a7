"""`docs/cli.md` describes the command line."""

import re
from pathlib import Path

from agent_core.cli.exits import ExitCode

DOCS = (Path(__file__).parents[2] / "docs/cli.md").read_text()


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \|", DOCS, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} == {int(code) for code in ExitCode}
