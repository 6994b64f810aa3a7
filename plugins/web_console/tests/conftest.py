"""Network of tests that look at the page, and their skips."""

from collections.abc import Iterator, Sequence

import pytest

from plugins.web_console.tests.chromium import why_no_browser
from plugins.web_console.tests.lan import Lan, running_lan


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip the tests that are marked as in a browser where there is none, before their fixtures start an agent."""
    reason = why_no_browser()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def lan() -> Iterator[Lan]:
    with running_lan() as made:
        yield made
