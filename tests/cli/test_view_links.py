"""Commands about view links: the agent need not run, and a running one takes them over."""

import os
import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from agent_core.auth.view_links import ViewLinks
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AuthenticationFailed
from tests.cli.conftest import Cli, Home
from tests.web.views.rig import SHADES, box

if TYPE_CHECKING:
    from pathlib import Path

CREATE = ("view-link", "create")


def links_of(home: Home) -> ViewLinks:
    links = ViewLinks(home.state_dir / "view-links.json", SystemClock())
    links.refresh()
    return links


def at(home: Home, port: int = 8002) -> dict[str, str]:
    return {"CAMERA_AGENT__SERVER__PORT": str(port)}


async def test_a_link_is_made_listed_and_revoked(cli: Cli, home: Home) -> None:
    made = await cli(*CREATE, "camera0", "--user", "octoprint", env=at(home))
    assert (made.code, made.err) == (0, "")
    live, picture = made.text.splitlines()
    assert live.startswith("http://127.0.0.1:8002/cameras/camera0/live.mjpeg?view=")
    secret = live.partition("=")[2]
    assert picture == f"http://127.0.0.1:8002/cameras/camera0/snapshot.jpg?view={secret}"
    link = links_of(home).verify(secret, "camera0")
    assert link.expires_at - link.created_at < timedelta(days=30, seconds=5)
    assert link.expires_at - link.created_at > timedelta(days=29)
    (listed,) = (await cli("view-link", "list", "--json")).value
    assert (listed["id"], listed["device"], listed["user"]) == (link.id, "camera0", "octoprint")
    assert secret not in (await cli("view-link", "list")).text
    assert (await cli("view-link", "revoke", link.id)).text == "Revoked.\n"
    with pytest.raises(AuthenticationFailed):
        links_of(home).verify(secret, "camera0")
    assert (await cli("view-link", "list")).text == "There are no view links.\n"
    again = await cli("view-link", "revoke", link.id)
    assert again.code == 1
    assert "no view link" in again.lines[0]


async def test_a_link_to_all_cameras_has_its_own_end(cli: Cli, home: Home) -> None:
    made = (await cli(*CREATE, "--all", "--lifetime-s", "90", "--json", env=at(home))).value
    assert (made["device"], "/cameras/{device}/live.mjpeg?view=" in made["url"]) == (None, True)
    link = links_of(home).verify(made["snapshot_url"].partition("=")[2], "camera7")
    assert timedelta(seconds=85) < link.expires_at - link.created_at <= timedelta(seconds=91)
    assert re.search(r"^all +\S", (await cli("view-link", "list")).text, re.MULTILINE)


@pytest.mark.parametrize(
    "words", [[], ["camera0", "--all"], ["door"], ["camera0", "--lifetime-s", "0"], ["camera0", "--user", ""]]
)
async def test_wrong_words_make_no_link(cli: Cli, home: Home, words: list[str]) -> None:
    ended = await cli(*CREATE, *words, env=at(home))
    assert (ended.code, ended.out) == (2, b"")
    assert ended.lines
    assert not home.state_dir.exists()


async def test_without_an_address_no_link_is_stored(cli: Cli, home: Home) -> None:
    ended = await cli(*CREATE, "camera0")  # the port is 0, and no agent runs
    assert ended.code == 3
    assert "No agent" in ended.lines[0]
    assert not (home.state_dir / "view-links.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_no_link_is_made_in_a_folder_of_another_account(cli: Cli, home: Home) -> None:
    home.state_dir.mkdir()
    os.chown(home.state_dir, 65534, 65534)
    ended = await cli(*CREATE, "camera0", env=at(home))
    assert ended.code == 4
    assert "belongs to another user" in ended.lines[0]
    assert list(home.state_dir.iterdir()) == []


async def test_a_running_agent_shows_the_camera_until_the_link_is_revoked(cli: Cli, tmp_path: "Path") -> None:
    async with box(folder=tmp_path) as it:
        made = (await cli(*CREATE, "camera0", "--json")).value
        assert made["url"].startswith(f"{it.agent.http_url}/cameras/camera0/")
        with anyio.fail_after(30):
            while (answer := await it.http.get(made["snapshot_url"])).status_code == 401:
                await anyio.sleep(0.05)
        assert answer.content in SHADES
        async with it.http.stream("GET", made["url"]) as live:
            bytes_of = live.aiter_raw()
            assert await anext(bytes_of)
            assert (await cli("view-link", "revoke", made["id"])).code == 0
            with anyio.fail_after(30), suppress(httpx.HTTPError):
                async for _ in bytes_of:
                    pass
        assert (await it.http.get(made["snapshot_url"])).status_code == 401
