"""Fixtures for all tests of the workspace."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
