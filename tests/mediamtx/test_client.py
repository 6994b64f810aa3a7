"""The client against a real media server, and against servers that answer as no good one does."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import anyio
import httpx
import pytest
from anyio.abc import ByteStream, SocketAttribute

from agent_core.base.errors import ConfigError, MediaServerError, MediaServerRefused, MediaServerUnavailable
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin.rtsp import Credentials
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx
from agent_core.testing.waiting import eventually

Handler = Callable[[httpx.Request], httpx.Response]


async def _until_configured(client: MediaServerClient, name: str, *, there: bool = True) -> None:
    async def settled() -> bool:
        return (await client.path_config(name) is not None) is there

    await eventually(settled)


def _answering(handler: Handler) -> MediaServerClient:
    return MediaServerClient("http://media.example", transport=httpx.MockTransport(handler))


def _fixed(status: int, **content: object) -> MediaServerClient:
    return _answering(lambda request: httpx.Response(status, **content))  # type: ignore[arg-type]


# Against a media server


async def test_info_names_version_and_start(media_client: MediaServerClient) -> None:
    info = await media_client.info()
    assert info.version_numbers is not None
    assert info.version_numbers >= (1, 15, 2)
    assert info.started is not None
    assert (await media_client.features()).hot_record_path


async def test_a_path_is_added_patched_replaced_deleted(media_client: MediaServerClient) -> None:
    name = "site/cam-1_a.b"
    await media_client.add_path(name, PathConf(run_on_demand="sleep 1", run_on_demand_close_after_s=3600))
    await _until_configured(media_client, name)
    conf = await media_client.path_config(name)
    assert conf is not None
    assert (conf.name, conf.run_on_demand, conf.run_on_demand_close_after_s) == (name, "sleep 1", 3600)
    assert (conf.record_max_part_size_bytes, conf.record_segment_duration_s) == (50 << 20, 3600)

    await media_client.patch_path(name, PathConf(record_segment_duration_s=90))
    await media_client.replace_path(name, PathConf(max_readers=3))

    async def replaced() -> PathConf | None:
        conf = await media_client.path_config(name)
        return conf if conf and conf.max_readers == 3 else None

    replacement = await eventually(replaced)
    assert (replacement.run_on_demand, replacement.record_segment_duration_s) == ("", 3600)

    await media_client.delete_path(name)
    await _until_configured(media_client, name, there=False)


async def test_a_refusal_carries_what_was_asked_and_what_was_said(media_client: MediaServerClient) -> None:
    await media_client.add_path("camera0", PathConf())
    with pytest.raises(MediaServerRefused) as caught:
        await media_client.add_path("camera0", PathConf())
    refused = caught.value
    assert (refused.method, refused.path, refused.status) == ("POST", "/v3/config/paths/add/camera0", 400)
    assert refused.server_text == "path already exists"
    assert refused.data()["status"] == 400
    for call in (media_client.patch_path("nope", PathConf(record=True)), media_client.delete_path("nope")):
        with pytest.raises(MediaServerRefused) as caught:
            await call
        assert caught.value.status == 404


async def test_the_servers_words_are_shown_without_addresses(media_client: MediaServerClient) -> None:
    for source in ("/dev/video7", "foo://user:secret@camera.example/x"):
        with pytest.raises(MediaServerRefused) as caught:
            await media_client.add_path("camera0", PathConf(source=source))
        assert source in caught.value.server_text
        shown = f"{caught.value.details} {caught.value.data()}"
        assert "invalid source: '<address>'" in shown
        assert not any(word in shown for word in ("/dev/", "secret", "camera.example"))


async def test_an_odd_name_reaches_the_server_as_it_is(media_client: MediaServerClient) -> None:
    for name in ("bad name", "a?b=c#d", "%41", "ä", "trail/"):
        with pytest.raises(MediaServerRefused) as caught:
            await media_client.add_path(name, PathConf())
        assert f"invalid path name '{name}'" in caught.value.server_text
        assert await media_client.path_config(name) is None


async def test_an_idle_path_is_there_and_not_live(media_client: MediaServerClient) -> None:
    assert await media_client.path("camera0") is None
    assert await media_client.path_config("camera0") is None
    await media_client.add_path("camera0", PathConf())
    path = await eventually(lambda: media_client.path("camera0"))
    assert (path.live, path.source, path.readers, path.inbound_bytes) == (False, None, (), 0)


async def test_lists_are_complete_over_several_pages(media_server: MediaServerUnderTest) -> None:
    names = [f"camera{number}" for number in range(5)]
    async with MediaServerClient(media_server.api_url, page_items=2) as client:
        for name in names:
            await client.add_path(name, PathConf())
        await _until_configured(client, "camera4")
        assert [conf.name for conf in await client.list_path_configs()] == names
        assert [path.name for path in await client.list_paths()] == names
        assert await client.recordings() == ()


async def test_a_list_that_never_ends_is_ended_by_an_empty_page() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["page"])
        items = [{"name": f"camera{asked[-1]}"}] if len(asked) < 4 else []
        return httpx.Response(200, json={"pageCount": 10**18, "items": items})

    asked: list[str] = []
    async with _answering(answer) as client:
        assert [path.name for path in await client.list_paths()] == ["camera0", "camera1", "camera2"]
    assert asked == ["0", "1", "2", "3"]


@pytest.mark.parametrize("answer", ["[" * 100_000, "9" * 5000, '{"items":' * 50_000])
async def test_an_answer_that_no_json_reader_takes_is_a_media_server_error(answer: str) -> None:
    async with _fixed(200, text=answer) as client:
        with pytest.raises(MediaServerError) as caught:
            await client.list_paths()
    assert caught.value.reason == "unexpected_answer"


async def test_a_stopped_server_is_noticed_in_time(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await media_client.info()
    media_server.signal(SIGSTOP)
    try:
        with anyio.fail_after(20), pytest.raises(MediaServerUnavailable) as caught:
            await media_client.info()
    finally:
        media_server.signal(SIGCONT)
    assert caught.value.reason == "timed_out"
    assert (await media_client.info()).version


async def test_a_server_that_recreates_its_listener_costs_no_call(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    """A changed global setting makes the server close our idle connection under us."""
    async with httpx.AsyncClient(base_url=media_server.api_url, trust_env=False, timeout=30) as other:
        for level in ("debug", "info", "debug", "info"):
            await media_client.info()
            assert await eventually(partial(_set_level, other, level))
            assert await eventually(partial(_answers_or_is_down, media_client))


async def _set_level(other: httpx.AsyncClient, level: str) -> bool:
    """The change before this one may close the connection under it."""
    try:
        answer = await other.patch("/v3/config/global/patch", json={"logLevel": level})
    except httpx.TransportError:
        return False
    return answer.status_code == 200


async def _answers_or_is_down(client: MediaServerClient) -> bool:
    """The new listener needs a moment; a dead connection is never what is reported."""
    try:
        return bool((await client.info()).version)
    except MediaServerUnavailable as error:
        assert error.reason == "connection_refused"
        return False


@pytest.mark.real_mediamtx
async def test_user_and_password_and_the_same_as_token(tmp_path: Path) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    users = [{"user": "agent", "pass": "s3cret!", "permissions": [{"action": "api"}]}]
    async with running_mediamtx(program, tmp_path, settings={"authInternalUsers": users}) as server:
        in_url = server.api_url.replace("://", "://agent:s3cret%21@")
        for client in (
            MediaServerClient(server.api_url, credentials=Credentials("agent", "s3cret!")),
            MediaServerClient(server.api_url, token="agent:s3cret!"),
            MediaServerClient(in_url),
        ):
            async with client:
                assert (await client.info()).version
        async with MediaServerClient(server.api_url) as client:
            with pytest.raises(MediaServerRefused) as caught:
                await client.info()
        assert (caught.value.status, caught.value.reason) == (401, "not_authorized")


# Against anything else


async def test_nobody_there_is_said_as_such() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        async with MediaServerClient(f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            with pytest.raises(MediaServerUnavailable) as caught:
                await client.info()
    assert caught.value.reason == "connection_refused"
    assert caught.value.data()["dependency"] == "media_server"


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_error_may_be_worth_another_try(status: int) -> None:
    async with _fixed(status, json={"error": "terminated"}) as client:
        with pytest.raises(MediaServerUnavailable) as caught:
            await client.list_paths()
    assert (caught.value.reason, caught.value.detail) == ("server_error", "terminated")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"json": {"status": "error", "error": "no\nway"}}, "no way"),
        ({"json": {"error": "old"}}, "old"),
        ({"json": ["odd"]}, '["odd"]'),
        ({"text": "404 page not found"}, "404 page not found"),
        ({"content": b""}, "status 401"),
        ({"content": b"\xff\xfe"}, "��"),
    ],
)
async def test_error_bodies_of_any_shape_are_read(content: dict[str, object], text: str) -> None:
    async with _fixed(401, **content) as client:
        with pytest.raises(MediaServerRefused) as caught:
            await client.info()
    assert (caught.value.server_text, caught.value.reason) == (text, "not_authorized")


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"items": [{}]}', b"null", b"\xff"])
async def test_success_with_a_foreign_body_is_not_believed(body: bytes) -> None:
    async with _fixed(200, content=body) as client:
        with pytest.raises(MediaServerError) as caught:
            await client.list_paths()
    assert caught.value.reason == "unexpected_answer"
    assert not isinstance(caught.value, MediaServerUnavailable)


async def test_success_of_a_write_is_its_status_whatever_the_body() -> None:
    async with _fixed(200, content=b"") as client:
        await client.add_path("camera0", PathConf())


async def test_a_redirect_is_refused_not_followed() -> None:
    async with _fixed(301, headers={"Location": "http://elsewhere.example/"}) as client:
        with pytest.raises(MediaServerRefused) as caught:
            await client.info()
    assert caught.value.status == 301


async def test_a_server_without_info_is_told_by_its_fields() -> None:
    def old(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/config/pathdefaults/get":
            return httpx.Response(200, json={"record": False, "recordMaxPartSize": "50M"})
        return httpx.Response(404, text="404 page not found")

    def unnumbered(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/info":
            return httpx.Response(200, json={"version": "built at home"})
        return httpx.Response(200, json={"record": False, "alwaysAvailable": False})

    async with _answering(old) as client:
        assert (await client.info()).version == ""
        assert not (await client.features()).hot_record_path
    async with _answering(unnumbered) as client:
        assert (await client.features()).hot_record_path
    async with _fixed(404) as client:
        assert not (await client.features()).hot_record_path


async def test_features_are_asked_again_after_the_server_was_away() -> None:
    versions = iter(["v1.15.0", None, "v1.20.1"])

    def changing(request: httpx.Request) -> httpx.Response:
        version = next(versions)
        return httpx.Response(200, json={"version": version}) if version else httpx.Response(503)

    async with _answering(changing) as client:
        assert not (await client.features()).hot_record_path
        assert not (await client.features()).hot_record_path
        with pytest.raises(MediaServerUnavailable):
            await client.list_paths()
        assert (await client.features()).hot_record_path


class _Toy:
    """A server of raw bytes: each connection gets the next of `scripts`."""

    def __init__(self, *scripts: Callable[[ByteStream], object]) -> None:
        self._scripts = list(scripts)
        self.connections = 0

    async def _serve(self, stream: ByteStream) -> None:
        self.connections += 1
        async with stream:
            await self._scripts.pop(0)(stream)  # type: ignore[misc]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"  # noqa: S610 - not Django's
            tasks.cancel_scope.cancel()


_INFO = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"version":"v1.20.1"}'


async def _answer(stream: ByteStream) -> None:
    await stream.receive()
    await stream.send(_INFO)


async def _answer_then_drop_the_next(stream: ByteStream) -> None:
    await _answer(stream)
    await stream.receive()


async def _drop(stream: ByteStream) -> None:
    await stream.receive()


async def _drip(stream: ByteStream) -> None:
    await stream.receive()
    for byte in _INFO:
        await stream.send(bytes([byte]))
        await anyio.sleep(0.1)


async def test_a_connection_that_died_while_idle_is_replaced_once() -> None:
    toy = _Toy(_answer_then_drop_the_next, _answer)
    async with toy.listening() as url, MediaServerClient(url) as client:
        assert (await client.info()).version == "v1.20.1"
        assert (await client.info()).version == "v1.20.1"
    assert toy.connections == 2


async def test_a_server_that_drops_every_connection_is_tried_twice_only() -> None:
    toy = _Toy(_drop, _drop)
    async with toy.listening() as url, MediaServerClient(url) as client:
        with pytest.raises(MediaServerUnavailable) as caught:
            await client.info()
    assert (caught.value.reason, toy.connections) == ("connection_lost", 2)


async def test_an_answer_that_drips_does_not_stretch_the_time_out() -> None:
    async with _Toy(_drip).listening() as url, MediaServerClient(url, timeout_s=0.3) as client:
        with anyio.fail_after(3), pytest.raises(MediaServerUnavailable) as caught:
            await client.info()
    assert caught.value.reason == "timed_out"


async def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    listener = await anyio.create_unix_listener(path)

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await _answer(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with MediaServerClient(f"unix://{path}") as client:
            assert (await client.info()).version == "v1.20.1"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "url", ["", "media.example", "ftp://media.example", "http://", "unix:", "http://[::1", "http://h:99999"]
)
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MediaServerClient(url)
    assert caught.value.reason == "invalid_address"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://[::1]:9997", "http://[::1]:9997/v3/info"),
        ("http://u:p@media.example", "http://media.example/v3/info"),
        ("https://media.example/behind/proxy/", "https://media.example/behind/proxy/v3/info"),
    ],
)
async def test_addresses_are_used_as_they_are_meant(url: str, asked: str) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    async with MediaServerClient(url, transport=httpx.MockTransport(handler)) as client:
        await client.info()
    assert [str(request.url) for request in seen] == [asked]
    assert ("Authorization" in seen[0].headers) is ("u:p" in url)


async def test_a_call_after_the_end_fails_as_others_do() -> None:
    """At the agent's end a task may call once more before its cancellation reaches it."""
    async with MediaServerClient("http://127.0.0.1:9") as client:
        pass
    with pytest.raises(MediaServerUnavailable):
        await client.info()
