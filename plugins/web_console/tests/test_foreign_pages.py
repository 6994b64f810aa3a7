"""Pages of other origins, in a browser that remembers an API key as the password of HTTP Basic."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.testing import RunningAgent
from plugins.web_console.tests.lan import Lan
from plugins.web_console.tests.rig import RED, Browser, box, browser, painted
from tests.foreign_page import foreign_page

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

VIEW = "/cameras/camera0/snapshot.jpg"
#: Address of a frame that the browser refused to show.
REFUSED = "chrome-error://chromewebdata/"


async def remember_key(page: Browser, agent: RunningAgent) -> None:
    """Let the browser remember the password for the agent's origin, as players and hubs lead people to do."""
    key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("hub", Role.VIEWER)
    for base in (agent.http_url.replace("://", f"://hub:{key}@"), agent.http_url):
        await page("open", url="about:blank")
        await page("open", url=base + VIEW)
        assert await page("run", script="document.images[0]?.naturalWidth") == 320, "also without the key"


async def gets_nothing(page: Browser, agent: RunningAgent, host: str, names: Sequence[str]) -> None:
    """Serve a page beside the agent, open it under these names, and check that it gets no picture."""
    url = agent.http_url + VIEW
    async with foreign_page(f'<img src="{url}"><iframe src="{url}"></iframe>', host) as port:
        for name in names:
            await page("open", url=f"http://{name}:{port}/")
            assert await page(
                "run", script="[document.images[0].complete, document.images[0].naturalWidth]"
            ) == [
                True,
                0,
            ]
            assert await page("frames") == [REFUSED]
            for options in ("{mode: 'no-cors', credentials: 'include'}", "{credentials: 'include'}"):
                asked = f"fetch('{url}', {options}).then((answer) => answer.type, (error) => error.name)"
                assert await page("run", script=asked) == "TypeError", (name, options)


async def test_pages_at_this_host_get_nothing_by_a_password_that_the_browser_remembers(
    tmp_path: Path,
) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await remember_key(page, agent)
        await gets_nothing(page, agent, "127.0.0.1", ("localhost", "127.0.0.1"))


async def test_nor_do_pages_at_the_agents_address_in_the_network(tmp_path: Path, lan: Lan) -> None:
    """Browsers do not tell there which site has caused a request: the agent's headers alone keep its pictures."""
    server = {"host": lan.address}
    async with (
        box([painted(tmp_path, "Red", RED)], server=server) as agent,
        browser(tmp_path, lan.laptop) as page,
    ):
        await remember_key(page, agent)
        assert await page("run", script="isSecureContext") is False
        await gets_nothing(page, agent, lan.address, (lan.address,))
