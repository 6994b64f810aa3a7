"""Other settings take effect in a running agent; a script answers as the camera."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.config import is_hot
from agent_core.plugin import Settings
from agent_core.plugin.rtsp import Headers, Request, Response
from agent_core.testing import running_agent
from external_discovery.discovery.interval import StoredInterval
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.plugin import ExternalDiscoveryPlugin
from external_discovery.settings import ExternalDiscoverySettings

from .odd_servers import H264, Script, served

pytestmark = pytest.mark.anyio

PASSWORD = "Tr0ub4dor"


def asks_for_a_password(request: Request) -> Response:
    """Answer as a camera whose path `/locked` needs the password."""
    if request.method != "DESCRIBE":
        return Response(200)
    given = base64.b64decode(request.headers.get("Authorization").removeprefix("Basic ") or "").decode()
    if "/locked" in request.uri and PASSWORD not in given:
        return Response(401, Headers([("WWW-Authenticate", 'Basic realm="camera"')]))
    return Response(200, Headers(), H264)


@dataclass
class Site:
    """Agent with the plugin, whose table a test changes, and a server of cameras."""

    port: int
    table: dict[str, Any] = field(default_factory=lambda: {"allowed_networks": ["127.0.0.1/32"]})
    client: AgentClient = field(init=False)

    def stream(self, path: str, name: str, **more: Any) -> dict[str, Any]:
        return {"url": f"rtsp://127.0.0.1:{self.port}/{path}", "name": name, **more}

    async def reload(self) -> Any:
        return await self.client.call("reload_configuration")

    async def cameras(self) -> dict[str, tuple[str, str]]:
        """Return the id and the status of each camera by its name."""
        listed = (await self.client.call("get_camera_list"))["cameras"]
        return {each["name"]: (each["device"], each["status"]) for each in listed}

    async def until(
        self, *, holds: Callable[[dict[str, tuple[str, str]]], bool]
    ) -> dict[str, tuple[str, str]]:
        with anyio.fail_after(20):
            while not holds(found := await self.cameras()):
                await anyio.sleep(0.02)
        return found


@asynccontextmanager
async def site(**table: Any) -> AsyncIterator[Site]:
    async with served(Script(asks_for_a_password)) as at:
        mine = Site(at.port)
        mine.table |= {name: value(mine) if callable(value) else value for name, value in table.items()}
        name = "external_discovery"
        async with running_agent(
            plugins={name: ExternalDiscoveryPlugin},
            config={"plugins": {name: dict(mine.table)}},
            reread=lambda: {"plugins": {name: dict(mine.table)}},
        ) as agent:
            async with agent.client("admin") as mine.client:
                yield mine


def first(mine: Site) -> list[dict[str, Any]]:
    return [mine.stream("a", "First"), mine.stream("b", "Second")]


async def test_configured_streams_come_and_go_and_the_others_stay() -> None:
    async with site(streams=first) as mine:
        before = await mine.until(holds=lambda found: len(found) == 2)
        await mine.client.call(
            "add_external_stream", stream_url=f"rtsp://127.0.0.1:{mine.port}/added", stream_name="Added"
        )
        mine.table["streams"] = [mine.stream("a", "First"), mine.stream("c", "Third")]
        told = await mine.reload()
        assert told["changed"] == ["plugins.external_discovery.streams"]
        after = await mine.until(holds=lambda found: set(found) == {"First", "Third", "Added"})
        assert after["First"] == before["First"]
        mine.table["streams"] = first(mine)
        await mine.reload()
        back = await mine.until(holds=lambda found: set(found) == {"First", "Second", "Added"})
        assert back["Second"][0] == before["Second"][0], "a stream has its former id again"


async def test_another_name_keeps_the_camera_and_another_id_needs_a_restart() -> None:
    async with site(streams=lambda mine: [mine.stream("a", "First", id="camera7")]) as mine:
        await mine.until(holds=lambda found: found.get("First") == ("camera7", "CONNECTED"))
        removed: list[Any] = []
        async with mine.client.subscribe(["camera.disconnected"]) as events:
            mine.table["streams"] = [mine.stream("a", "Gate", id="camera7")]
            assert (await mine.reload())["changed"] == ["plugins.external_discovery.streams"]
            await mine.until(holds=lambda found: found == {"Gate": ("camera7", "CONNECTED")})
            with anyio.move_on_after(0):
                removed.append(await anext(aiter(events)))
        assert removed == []
        mine.table["streams"] = [mine.stream("a", "Door", id="camera8")]
        for _ in range(2):
            told = await mine.reload()
            assert (told["changed"], told["needs_restart"]) == ([], ["plugins.external_discovery.streams"])
        await mine.until(holds=lambda found: found == {"Door": ("camera7", "CONNECTED")})


async def test_a_corrected_password_and_its_file_are_used(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n")
    locked: Any = {"user": "admin", "password_file": str(file)}
    async with site(streams=lambda mine: [mine.stream("locked", "Gate", **locked)]) as mine:
        await mine.until(holds=lambda found: found["Gate"][1] == "ERROR")
        file.write_text(f"{PASSWORD}\n")
        assert (await mine.reload())["changed"] == [], "no key has changed"
        await mine.until(holds=lambda found: found["Gate"][1] == "CONNECTED")
        file.unlink()
        await mine.reload()
        assert (await mine.cameras())["Gate"][1] == "CONNECTED"


async def test_networks_are_forbidden_and_allowed_again() -> None:
    async with site(streams=lambda mine: [mine.stream("a", "First")]) as mine:
        await mine.until(holds=lambda found: found["First"][1] == "CONNECTED")
        allowed, mine.table["allowed_networks"] = mine.table["allowed_networks"], ["192.0.2.0/24"]
        assert (await mine.reload())["changed"] == ["plugins.external_discovery.allowed_networks"]
        await mine.until(holds=lambda found: found["First"][1] == "ERROR")
        mine.table["allowed_networks"] = allowed
        await mine.reload()
        await mine.until(holds=lambda found: found["First"][1] == "CONNECTED")


async def test_the_limit_of_streams_counts_for_the_next_one() -> None:
    async with site(max_streams=1) as mine:

        async def add(path: str) -> None:
            url = f"rtsp://127.0.0.1:{mine.port}/{path}"
            await mine.client.call("add_external_stream", stream_url=url, stream_name=path)

        await add("a")
        with pytest.raises(CallFailed) as full:
            await add("b")
        assert full.value.reason == "too_many_streams"
        mine.table["max_streams"] = 2
        await mine.reload()
        await add("b")


async def test_the_next_search_is_in_the_new_networks() -> None:
    async with site() as mine:
        call: Any = {"generic_enabled": True, "skydio_enabled": False}
        (error,) = (await mine.client.call("discover_external_streams", **call))["errors"]
        assert "No networks" in error
        mine.table["discovery"] = {
            "networks": ["127.0.0.9/32"],
            "onvif": False,
            "connect_timeout_s": 0.5,
            "answer_timeout_s": 0.5,
        }
        told = await mine.reload()
        assert set(told["changed"]) == {
            f"plugins.external_discovery.discovery.{each}" for each in mine.table["discovery"]
        }
        (error,) = (await mine.client.call("discover_external_streams", **call))["errors"]
        assert "127.0.0.9/32" in error, "the former report is not given again"


async def test_wrong_settings_name_the_key_and_change_nothing() -> None:
    async with site(streams=first) as mine:
        before = await mine.until(holds=lambda found: len(found) == 2)
        mine.table["streams"] = [mine.stream("a", "Same"), mine.stream("b", "Same")]
        with pytest.raises(CallFailed) as refused:
            await mine.reload()
        assert refused.value.code == -32020
        assert "plugins.external_discovery.streams: two streams have the same name" in refused.value.details
        assert await mine.cameras() == before


async def test_an_interval_that_was_set_holds_until_the_configured_one_changes(tmp_path: Path) -> None:
    interval = StoredInterval(tmp_path, 60)
    interval.value_s = 5
    assert not interval.configure(60)
    assert interval.value_s == 5
    assert interval.configure(30)
    assert interval.value_s == 30
    await interval.store()
    other = StoredInterval(tmp_path, 30)
    await other.load()
    assert other.value_s == 30


def hot(model: type[Settings], *, but: str = "") -> set[str]:
    return {name for name in model.model_fields if name == but or is_hot(model, name)}


def test_every_setting_is_hot() -> None:
    assert hot(ExternalDiscoverySettings, but="discovery") == ExternalDiscoverySettings.model_fields.keys()
    assert hot(DiscoverySettings) == DiscoverySettings.model_fields.keys()
