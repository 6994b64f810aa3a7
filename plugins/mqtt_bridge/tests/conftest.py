"""Fixtures that are made once for all tests of the bridge."""

from pathlib import Path

import pytest

from tests.e2e.conftest import agent_process

from .mochi_broker import built_mochi

#: A fixture of the agent's own tests.
__all__ = ("agent_process",)


@pytest.fixture(scope="session")
def mochi() -> Path:
    """Program of a broker of another make; skips without Go, or without its modules."""
    program = built_mochi()
    if isinstance(program, str):
        pytest.skip(program)
    return program
