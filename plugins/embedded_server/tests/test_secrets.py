"""Credentials of the agent's cameras: the agent's own business, also from users of the server's API."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from embedded_server.config.secrets import SourceSecrets

SECRET = "rtsp://op:s3cret@127.0.0.1:1/live?channel=1&pwd=s3cret"
SHOWN = "rtsp://***@127.0.0.1:1/live?***"


@pytest.fixture
async def agent(embedded: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=10) as client:
        yield client


@pytest.fixture
async def user(embedded: Any, agent: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A user of the API who is not the agent."""
    users = [{"user": "op", "pass": "s3", "permissions": [{"action": "api"}]}]
    assert (
        await agent.patch("/v3/config/global/patch", json={"authInternalUsers": users})
    ).status_code == 200
    async with httpx.AsyncClient(base_url=embedded.open_url, auth=("op", "s3"), timeout=10) as client:
        with anyio.fail_after(10):
            while (await client.get("/v3/info")).status_code != 200:
                pass
        yield client


async def until(client: httpx.AsyncClient, name: str, **wanted: Any) -> dict[str, Any]:
    """Return the options of the path as soon as they are these."""
    with anyio.fail_after(10):
        while True:
            answer = await client.get(f"/v3/config/paths/get/{name}")
            options: dict[str, Any] = answer.json()
            if answer.status_code == 200 and wanted.items() <= options.items():
                return options
            await anyio.sleep(0.01)


async def test_users_of_the_api_do_not_see_the_credentials_of_the_agents_cameras(
    agent: httpx.AsyncClient, user: httpx.AsyncClient
) -> None:
    conf = {"source": SECRET, "sourceOnDemand": True}
    assert (await agent.post("/v3/config/paths/add/cam", json=conf)).status_code == 200
    await until(agent, "cam", source=SECRET)
    assert (await until(user, "cam"))["source"] == SHOWN
    for address in ("/v3/config/paths/list", "/v3/paths/list", "/v3/paths/get/cam"):
        answer = await user.get(address)
        assert answer.status_code == 200
        assert "s3cret" not in answer.text


async def test_a_user_who_writes_back_what_it_was_shown_changes_no_address(
    agent: httpx.AsyncClient, user: httpx.AsyncClient
) -> None:
    conf = {"source": SECRET, "sourceOnDemand": True}
    assert (await agent.post("/v3/config/paths/add/cam", json=conf)).status_code == 200
    await until(agent, "cam", source=SECRET)
    shown = await until(user, "cam")
    for verb, address in (("POST", "replace"), ("PATCH", "patch")):
        changed = {"source": shown["source"], "sourceOnDemand": True, "maxReaders": len(verb)}
        written = await user.request(verb, f"/v3/config/paths/{address}/cam", json=changed)
        assert written.status_code == 200, written.text
        assert (await until(agent, "cam", maxReaders=len(verb)))["source"] == SECRET


async def test_a_user_who_replaces_an_address_is_not_told_the_old_one_before_that_is_applied(
    agent: httpx.AsyncClient, user: httpx.AsyncClient
) -> None:
    conf = {"source": SECRET, "sourceOnDemand": True}
    assert (await agent.post("/v3/config/paths/add/cam", json=conf)).status_code == 200
    await until(agent, "cam", source=SECRET)
    own = "rtsp://me:mine@127.0.0.1:1/live"
    assert (await user.patch("/v3/config/paths/patch/cam", json={"source": own})).status_code == 200
    with anyio.fail_after(10):
        while (found := (await until(user, "cam"))["source"]) != own:
            assert found == SHOWN
    assert (await agent.delete("/v3/config/paths/delete/cam")).status_code == 200
    with anyio.fail_after(10):
        while (answer := await user.get("/v3/config/paths/get/cam")).status_code == 200:
            assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://u:p@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p/q@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p?q@h/x", "rtsp://***@h/x"),
        ("rtsp://h/x?user=u&password=p", "rtsp://h/x?***"),
        ("rtsp://h/x", "rtsp://h/x"),
        ("publisher", "publisher"),
    ],
)
def test_what_is_hidden_of_an_address(address: str, shown: str) -> None:
    secrets = SourceSecrets()
    options: dict[str, Any] = {"source": address, "record": True}
    assert secrets.shown(options) == options
    secrets.keep(options)
    assert secrets.shown(options) == {"source": shown, "record": True}
    assert secrets.meant({"source": shown}, options) == {"source": address}
    assert secrets.meant({"source": "other"}, options) == {"source": "other"}
