"""Skips of tests that look at the page."""

from collections.abc import Sequence

import pytest

from plugins.web_console.tests.rig import browser, why_no_browser


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip the tests of modules that use the browser where there is none, before they or their fixtures start an agent."""
    reason = why_no_browser()
    if reason is None:
        return
    for item in items:
        if isinstance(item, pytest.Function) and vars(item.module).get("browser") is browser:
            item.add_marker(pytest.mark.skip(reason=reason))
