"""The plugin's files, and where they are."""

from pathlib import Path

import httpx
import pytest

from agent_core.testing import WebRoutesContract, running_agent
from web_console.plugin import WebConsolePlugin

STATIC = Path(__file__).parents[1] / "src/web_console/static"


class TestPage(WebRoutesContract):
    name = "web_console"
    plugin = WebConsolePlugin
    routes = ()


@pytest.mark.parametrize("at_root", [True, False])
async def test_the_page_is_at_the_root_if_it_is_wanted_there(at_root: bool) -> None:
    config = {"plugins": {"web_console": {"at_root": at_root}}}
    async with (
        running_agent(plugins={"web_console": WebConsolePlugin}, config=config) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        assert (await http.get("/plugins/web_console/")).status_code == 200
        assert (await http.get("/")).status_code == (200 if at_root else 404)


async def test_without_the_plugin_there_is_no_page() -> None:
    async with running_agent() as agent, httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        assert (await http.get("/")).status_code == 404


def test_no_module_makes_html_of_text() -> None:
    makers = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
    )
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        assert not [each for each in makers if each in text], path.name


def test_all_modules_and_files_are_there_and_used() -> None:
    text = "".join(path.read_text() for path in STATIC.iterdir())
    for path in STATIC.iterdir():
        assert path.name == "index.html" or path.name in text


def test_modules_that_people_write_are_short() -> None:
    written = {
        path.name: path for path in STATIC.glob("*.js") if path.name != "client.js"
    }  # made by scripts/js-client
    assert {name for name, path in written.items() if len(path.read_text().splitlines()) >= 250} == set()
