"""Places for a command's file."""

from pathlib import Path

import pytest

from agent_core.cli.exits import CommandFailed
from agent_core.cli.targets import checked_target


def test_a_place_that_cannot_be_looked_at_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="could not be written: file name too long"):
        checked_target(tmp_path / ("a" * 300) / "picture.jpg")
