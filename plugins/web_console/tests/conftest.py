"""Fixtures for tests that look at the page."""

import pytest

from plugins.web_console.tests.rig import needs_browser


@pytest.fixture
def chromium() -> None:
    """Skip the test without a browser, before it has started an agent."""
    needs_browser()
