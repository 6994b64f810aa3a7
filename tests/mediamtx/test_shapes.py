"""Client, paths and hold against the responses of two versions, as the embedded server gives them.

`1.14` is the older shape behind a proxy that takes away what came with 1.15: there is no `/v3/info`, so a server's
abilities are told by its fields.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio
import httpx
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import InvalidState, MediaServerRefused, MediaServerUnavailable
from agent_core.mediamtx.client import MediaServerClient, open_transport
from agent_core.mediamtx.paths import PathManager
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import PathConf, RuntimePath
from agent_core.plugin.rtsp import Credentials
from agent_core.testing.mediamtx import publisher_command
from agent_core.testing.waiting import eventually
from embedded_server import EmbeddedServerSettings, serving

Shape = Literal["1.20", "1.15.4", "1.14"]


@dataclass(frozen=True)
class Speaking:
    """A server of that shape; `folder` is for its recordings."""

    shape: Shape
    client: MediaServerClient
    api_url: str
    rtsp_url: str
    folder: Path

    @property
    def hot(self) -> bool:
        return self.shape != "1.14"


class _WithoutInfo(httpx.AsyncBaseTransport):
    def __init__(self, api_url: str) -> None:
        self._inner = open_transport(api_url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/info":
            return httpx.Response(404, text="404 page not found")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def settings(shape: Shape, folder: Path, **more: object) -> EmbeddedServerSettings:
    return EmbeddedServerSettings.model_validate(
        {
            "api_port": 0,
            "rtsp_port": 0,
            "legacy": None if shape == "1.20" else "1.15.4",
            "record_path": f"{folder}/%path/%Y-%m-%d_%H-%M-%S-%f",
            **more,
        }
    )


@pytest.fixture(params=["1.20", "1.15.4", "1.14"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Speaking]:
    async with serving(settings(request.param, tmp_path), SystemClock()) as running:
        at = await running.wait_endpoints()
        transport = _WithoutInfo(at.api_url) if request.param == "1.14" else None
        async with MediaServerClient(
            at.api_url, credentials=at.credentials, transport=transport, page_items=2
        ) as client:
            yield Speaking(request.param, client, at.api_url, at.rtsp_url, tmp_path)


async def test_what_it_can_do(server: Speaking) -> None:
    info = await server.client.info()
    assert info.version == {"1.20": "v1.20.1", "1.15.4": "v1.15.4", "1.14": ""}[server.shape]
    assert (info.started is None) is (server.shape == "1.14")
    assert (await server.client.features()).hot_record_path is server.hot


async def test_writes_and_what_comes_of_them(server: Speaking) -> None:
    client = server.client
    await client.add_path("site/camera0", PathConf(run_on_demand="sleep 1", record_segment_duration_s=86400))
    conf = await eventually(lambda: client.path_config("site/camera0"))
    assert (conf.run_on_demand, conf.record_segment_duration_s, conf.record_delete_after_s) == (
        "sleep 1",
        86400,
        86400,
    )
    await client.replace_path("site/camera0", PathConf(max_readers=3, record_delete_after_s=0))

    async def replaced() -> PathConf | None:
        conf = await client.path_config("site/camera0")
        return conf if conf and conf.max_readers == 3 else None

    conf = await eventually(replaced)
    assert (conf.run_on_demand, conf.record_delete_after_s) == ("", 0)
    await client.delete_path("site/camera0")
    await eventually(lambda: _is_gone(client, "site/camera0"))


async def _is_gone(client: MediaServerClient, name: str) -> bool:
    return await client.path_config(name) is None


async def test_refusals_have_the_servers_words(server: Speaking) -> None:
    client = server.client
    await client.add_path("camera0", PathConf())
    with pytest.raises(MediaServerRefused) as caught:
        await client.add_path("camera0", PathConf())
    assert (caught.value.status, caught.value.server_text) == (400, "path already exists")
    with pytest.raises(MediaServerRefused) as caught:
        await client.patch_path("nope", PathConf(record=True))
    assert (caught.value.status, caught.value.server_text) == (404, "path not found")
    with pytest.raises(MediaServerRefused) as caught:
        await client.add_path("bad name", PathConf())
    assert "invalid path name 'bad name'" in caught.value.server_text
    assert await client.path_config("nope") is None
    assert await client.path("nope") is None


async def test_lists_over_several_pages(server: Speaking) -> None:
    names = [f"camera{number}" for number in range(5)]
    for name in names:
        await server.client.add_path(name, PathConf())
    await eventually(lambda: server.client.path("camera4"))
    assert [conf.name for conf in await server.client.list_path_configs()] == names
    assert [path.name for path in await server.client.list_paths()] == names


async def test_a_live_path_is_seen_as_one_and_counts_bytes(server: Speaking) -> None:
    client = server.client
    await PathManager(client).ensure("camera0", PathConf(run_on_demand=publisher_command(15)))
    idle = await client.path("camera0")
    assert idle is not None
    assert (idle.live, idle.live_since, idle.source, idle.inbound_bytes) == (False, None, None, 0)
    async with anyio.create_task_group() as tg:
        with anyio.fail_after(20):
            await tg.start(Hold(f"{server.rtsp_url}/camera0").run)
        live = await eventually(lambda: _with_bytes(client))
        assert live.live_since is not None
        assert live.source is not None
        assert live.tracks == ("H264",)
        assert [reader.type for reader in live.readers] == ["rtspSession"]
        tg.cancel_scope.cancel()


async def _with_bytes(client: MediaServerClient) -> RuntimePath | None:
    path = await client.path("camera0")
    return path if path is not None and path.live and path.inbound_bytes > 0 else None


async def test_recording_a_live_path_ends_nobodys_stream(server: Speaking) -> None:
    """Where the server would have to end the stream to take another folder, that is refused, and `record` alone is not."""
    paths = PathManager(server.client)
    await paths.ensure("camera0", PathConf(run_on_demand=publisher_command(15)))
    wanted = PathConf(record=True, record_path=f"{server.folder}/other/%path/%s-%f")
    async with anyio.create_task_group() as tg:
        with anyio.fail_after(20):
            await tg.start(Hold(f"{server.rtsp_url}/camera0").run)
        if server.hot:
            await paths.patch_record("camera0", wanted)
        else:
            with pytest.raises(InvalidState) as caught:
                await paths.patch_record("camera0", wanted)
            assert caught.value.reason == "path_in_use"
            await paths.patch_record("camera0", PathConf(record=True))
        folder = server.folder / "other" if server.hot else server.folder
        await eventually(lambda: _any_file(folder / "camera0"), timeout_s=20)
        live = await server.client.path("camera0")
        assert live is not None
        assert live.readers
        if server.hot:
            (recorded,) = await server.client.recordings()
            assert (recorded.name, len(recorded.segments)) == ("camera0", 1)
        tg.cancel_scope.cancel()


async def _any_file(folder: Path) -> bool:
    return any(folder.glob("*.mp4"))


@pytest.mark.parametrize("shape", ["1.20", "1.15.4"])
async def test_credentials_and_their_absence(shape: Shape, tmp_path: Path) -> None:
    """The older shape's 401 has an empty body."""
    user = {"name": "agent", "password": "s3cret!", "actions": ["api"]}
    async with serving(settings(shape, tmp_path, users=[user]), SystemClock()) as running:
        at = await running.wait_endpoints()
        for client in (
            MediaServerClient(at.api_url, credentials=Credentials("agent", "s3cret!")),
            MediaServerClient(at.api_url, token="agent:s3cret!"),
        ):
            async with client:
                assert (await client.info()).version
        async with MediaServerClient(at.api_url) as client:
            with pytest.raises(MediaServerRefused) as caught:
                await client.info()
        assert (caught.value.status, caught.value.reason) == (401, "not_authorized")
        assert caught.value.server_text
        async with MediaServerClient(at.api_url, credentials=Credentials("agent", "wrong")) as client:
            with pytest.raises((MediaServerRefused, MediaServerUnavailable)) as waited:
                await client.info()
        assert waited.value.reason in {"not_authorized", "timed_out"}
