"""The tests' own driver of Chromium."""

from pathlib import Path

import anyio
import pytest

from plugins.web_console.tests.rig import browser
from tests.foreign_page import foreign_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]


async def test_the_answer_to_a_command_that_was_cancelled_is_skipped(tmp_path: Path) -> None:
    async with browser(tmp_path) as page:
        with anyio.move_on_after(0.1) as scope:
            await page("run", script="new Promise((resolve) => setTimeout(() => resolve('late'), 500))")
        assert scope.cancelled_caught
        assert await page("run", script="'next'") == "next"


async def test_errors_of_the_console_are_faults_but_for_answers_that_are_expected(tmp_path: Path) -> None:
    async with foreign_page("<title>404 at port 503</title>") as port, browser(tmp_path) as page:
        await page("open", url=f"http://127.0.0.1:{port}/")
        await page("run", script="console.error('status of 503 at /snapshot.jpg')")
        assert await page.faults() == ["status of 503 at /snapshot.jpg"]
