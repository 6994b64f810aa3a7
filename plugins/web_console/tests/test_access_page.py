"""API keys, view links and logging out, in Chromium."""

from html import escape
from pathlib import Path

import anyio
import httpx
import pytest

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.testing import RunningAgent, SystemClock
from plugins.web_console.tests.rig import BLUE, RED, SHOWN, Browser, box, browser, login_link, painted
from tests.foreign_page import foreign_page

#: A browser and an agent beside other tests.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

VALUE = "document.querySelector(\"input[aria-label='{}']\").value"
ROWS = "[aria-label='{}'] tbody tr"
EMPTY = "document.querySelectorAll(\"[aria-label='{}'] tbody tr\").length === 0"
SIZES = "[...document.images].map((each) => each.naturalWidth)"
SOCKET = """new Promise((resolve) => {{
  const made = new WebSocket("{}");
  made.onopen = () => resolve("open");
  made.onerror = () => resolve("refused");
}})"""
CONFIRM = "dialog button.danger"


async def status(agent: RunningAgent, path: str, key: str = "") -> int:
    headers = {"x-api-key": key} if key else {}
    async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
        return (await http.get(path, headers=headers)).status_code


async def until_refused(agent: RunningAgent, path: str, key: str = "") -> None:
    with anyio.fail_after(30):
        while await status(agent, path, key) != 401:
            await anyio.sleep(0.05)


async def test_api_keys_are_made_shown_once_and_revoked(tmp_path: Path) -> None:
    config = {"keys_over_network": True}
    async with box([painted(tmp_path, "Red", RED)], auth=config) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/access']")
        await page("fill", selector="#key-user", value="wall")
        await page("click", selector="agent-access form button")
        await page("wait", selector="agent-access [role=status]", text="The API key of wall.")
        key = await page("run", script=VALUE.format("API key"))
        await page("wait", selector=ROWS.format("API keys"), text="wall")
        path = "/cameras/camera0/snapshot.jpg"
        assert await status(agent, path, key) == 200
        assert await page("axe") == []

        # A second key of the same user is refused in the agent's words, and a key is shown only once.
        await page("fill", selector="#key-user", value="wall")
        await page("click", selector="agent-access form button")
        await page("wait", selector="agent-access .problem", text="Revoke that key first")
        assert key not in await page("run", script="document.body.innerHTML")
        assert await page("run", script="document.querySelectorAll('agent-access .address').length") == 0

        # A page that is logged in with the key ends with it.
        await page("tab")
        await page("open", url=f"{agent.http_url}/")
        await page("fill", selector="#token", value=key)
        await page("press", key="Enter")
        await page("until", script=SHOWN.format(1))
        await page("tab", number=0)
        await page("click", selector="button[aria-label='Revoke the API key of wall']")
        await page("press", key="Escape")
        assert await page("count", selector=ROWS.format("API keys")) == 1
        await page("click", selector="button[aria-label='Revoke the API key of wall']")
        await page("click", selector=CONFIRM)
        await page("wait", selector="agent-access > [role=status]", text="Revoked")
        await page("until", script=EMPTY.format("API keys"))
        await until_refused(agent, path, key)
        await page("tab", number=1)
        await page("until", script="document.querySelector('.login .problem')?.textContent.length > 0")
        assert await page("run", script="sessionStorage.length") == 0


async def test_a_key_that_signs_calls_is_listed_by_its_kind(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        keys = ApiKeys(agent.folder / "state/api-keys.json", SystemClock())
        keys.add(NewKey("fleet", Role.OPERATOR, KeyKind.MQTT))
        await page("open", url=login_link(agent))
        await page("click", selector="nav a[href='#/access']")
        await page("wait", selector=ROWS.format("API keys"), text="mqtt")
        await page("click", selector="button[aria-label='Revoke the key for signed calls of fleet']")
        await page("click", selector=CONFIRM)
        await page("until", script=EMPTY.format("API keys"))
        assert keys.refresh() == ()


async def made_link(page: Browser, device: str) -> tuple[str, str]:
    """Make a view link on the page of a camera; return the addresses of its live view and its picture."""
    await page("run", script=f"location.hash = '#/camera/{device}'")
    await page("click", selector="summary >> text=Addresses")
    await page("click", selector="button >> text=Make a view link")
    await page("wait", selector="camera-page", text="It is shown only now")
    live, picture = [
        await page("run", script=VALUE.format(f"View link: {each}")) for each in ("live", "picture")
    ]
    await page("click", selector="button[aria-label='Copy: View link: live']")
    await page("wait", selector=".address", text="Copied.")
    return live, picture


async def test_a_view_link_shows_a_camera_to_another_page_until_it_is_revoked(tmp_path: Path) -> None:
    cameras = [painted(tmp_path, "Red", RED), painted(tmp_path, "Blue", BLUE)]
    async with box(cameras) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent))
        live, picture = await made_link(page, "camera1")
        await page("click", selector="nav a[href='#/access']")
        await page("wait", selector=ROWS.format("View links"), text="camera1")
        assert live.partition("=")[2] not in await page("run", script="document.body.innerHTML")
        offered = await page("texts", selector="agent-access p.muted")
        assert "camera-agent key create" in offered[0], "keys_over_network is off"

        other = picture.replace("camera1", "camera0")
        images = "".join(f'<img src="{escape(each)}">' for each in (live, picture, other))
        async with foreign_page(images) as port:
            address = f"http://localhost:{port}/"
            await page("tab")
            await page("open", url=address)
            await page("until", script=f"({SIZES})[0] > 0")
            assert await page("run", script=SIZES) == [320, 320, 0]
            # It has no more than images, not even those of the link.
            for request in (f"'{picture}'", f"'{agent.http_url}/login', {{ method: 'DELETE' }}"):
                asked = f"fetch({request}).then((answer) => answer.status, (error) => error.name)"
                assert await page("run", script=asked) == "TypeError", request
            assert await page("run", script=SOCKET.format(agent.url)) == "refused"

            await page("tab", number=0)
            await page("click", selector="[aria-label='View links'] button.danger")
            await page("click", selector=CONFIRM)
            await page("wait", selector="agent-access > [role=status]", text="Revoked")
            await page("until", script=EMPTY.format("View links"))
            await until_refused(agent, picture.removeprefix(agent.http_url))
            await page("tab", number=1)
            await page("open", url=address)
            assert await page("run", script=SIZES) == [0, 0, 0]


async def test_logging_out_ends_what_the_link_gave_and_leaves_other_tokens_alone(tmp_path: Path) -> None:
    async with box([painted(tmp_path, "Red", RED)]) as agent, browser(tmp_path) as page:
        await page("open", url=login_link(agent, "viewer"))
        await page("until", script=SHOWN.format(1))
        own = (await page("run", script="sessionStorage.getItem(sessionStorage.key(0))")).removeprefix("own:")
        token = agent.token("viewer")
        await page("click", selector="button >> text=Log out")
        await page("wait", selector=".login form")
        assert await page("texts", selector=".login .problem") == [""]
        assert await page("run", script="[sessionStorage.length, document.cookie]") == [0, ""]
        async with httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http:
            with anyio.fail_after(30):
                while True:
                    headers = {"authorization": f"Bearer {own}"}
                    answer = await http.get("/cameras/camera0/snapshot.jpg", headers=headers)
                    if answer.status_code == 401:
                        break
                    await anyio.sleep(0.05)
            assert answer.json()["reason"] == "token_revoked"

            await page("fill", selector="#token", value=token)
            await page("press", key="Enter")
            await page("until", script=SHOWN.format(1))
            await page("click", selector="button >> text=Log out")
            await page("wait", selector=".login form")
            headers = {"authorization": f"Bearer {token}"}
            answer = await http.get("/cameras/camera0/snapshot.jpg", headers=headers)
            assert answer.status_code == 200
        assert await page.faults() == []


async def test_logging_out_without_the_agent_says_that_the_token_stays_valid(tmp_path: Path) -> None:
    async with browser(tmp_path) as page:
        async with box([painted(tmp_path, "Red", RED)]) as agent:
            await page("open", url=login_link(agent, "viewer"))
            await page("until", script=SHOWN.format(1))
        await page("wait", selector=".banner", text="Trying again")
        await page("click", selector="button >> text=Log out")
        await page("wait", selector=".login .problem", text="could not revoke its token")
        assert await page("run", script="sessionStorage.length") == 0
