"""`/cameras/{device}/live.mjpeg` of a whole agent."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest
from websockets.asyncio.client import connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from tests.toy_server import until
from tests.web.views.rig import (
    CLOCK,
    LIMIT_S,
    PATH,
    SHADES,
    Box,
    Part,
    box,
    parts_of,
    request_of,
    size_of,
    some,
    view,
)


async def drained(parts: AsyncIterator[Part]) -> None:
    async for _ in parts:
        pass


def is_idle(it: Box) -> bool:
    return not it.stage.producer.streaming


async def test_the_pictures_are_the_camera_s_own_in_order() -> None:
    async with box() as it:
        async with view(it) as parts:
            seen = await some(parts, 12)
        assert all(part.data in SHADES for part in seen)
        assert {part.headers["content-type"] for part in seen} == {"image/jpeg"}
        times = [float(part.headers["x-timestamp"]) for part in seen]
        assert times == sorted(times)
        assert len(set(times)) == len(times)
        assert abs(times[-1] - datetime.now(UTC).timestamp()) < LIMIT_S
        await until(lambda: is_idle(it))


async def test_the_answer_s_headers() -> None:
    async with box() as it:
        async with it.http.stream("GET", PATH, headers=it.bearer()) as response:
            await anext(parts_of(response))
            headers = response.headers
        head = await it.http.head(PATH, headers=it.bearer())
        for each in (headers, head.headers):
            assert each["content-type"].startswith("multipart/x-mixed-replace; boundary=")
            assert each["cache-control"] == "no-store"
            assert each["connection"] == "close"
            assert each["cross-origin-resource-policy"] == "same-origin"
        assert (head.status_code, head.content) == (200, b"")


async def test_a_script_gets_the_same_bytes_under_a_type_that_every_browser_gives_it() -> None:
    """WebKit cancels a `fetch` whose answer is `multipart/x-mixed-replace`."""
    async with box() as it:
        accept = {"accept": "application/octet-stream"}
        async with it.http.stream("GET", PATH, headers=it.bearer() | accept) as response:
            assert response.headers["content-type"] == "application/octet-stream"
            assert response.headers["x-content-type-options"] == "nosniff"
            seen = await some(parts_of(response), 3)
        assert all(part.data in SHADES for part in seen)
        for others in ("*/*", "application/octet-stream, */*", "image/*"):
            head = await it.http.head(PATH, headers=it.bearer() | {"accept": others})
            assert head.headers["content-type"].startswith("multipart/x-mixed-replace"), others


async def test_head_wakes_no_camera() -> None:
    async with box() as it:
        assert (await it.http.head(PATH, headers=it.bearer())).status_code == 200
        assert it.stage.producer.calls == []


async def test_http_1_0_gets_the_same_bytes_without_chunks() -> None:
    async with box() as it:
        port = it.agent.url.rpartition(":")[2].partition("/")[0]
        async with await anyio.connect_tcp("127.0.0.1", int(port)) as client:
            token = it.agent.token("viewer")
            await client.send(f"GET {PATH} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            received = b""
            with anyio.fail_after(LIMIT_S):
                while received.count(b"Content-Length") < 4:
                    received += await client.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert body.startswith(b"--camera-agent-picture\r\nContent-Type: image/jpeg\r\n")
        whole = body.split(b"\r\n\r\n", 1)[1].partition(b"\r\n--camera-agent-picture")[0]
        assert whole in SHADES


async def test_width_is_encoded_anew() -> None:
    async with box() as it:
        async with view(it, f"{PATH}?width=32") as parts:
            seen = await some(parts, 3)
        assert {size_of(part.data) for part in seen} == {(32, 24)}
        async with view(it, f"{PATH}?width=640") as parts:
            assert (await anext(parts)).data in SHADES


async def test_fps_leaves_out_pictures() -> None:
    async with box() as it, view(it, f"{PATH}?fps=10") as parts:
        times = [float(part.headers["x-timestamp"]) for part in await some(parts, 8)]
        assert times[-1] - times[0] >= 0.6  # at 100 pictures per second eight would take 0.08 s


async def test_a_camera_without_a_broker_repeats_stills() -> None:
    async with box() as it:
        begun_s = CLOCK.monotonic_s()
        async with view(it, "/cameras/camera1/live.mjpeg") as parts:
            times = [float(part.headers["x-timestamp"]) for part in await some(parts, 3)]
        assert times[2] - times[0] >= 0.9
        taken, passed_s = it.stage.taken, CLOCK.monotonic_s() - begun_s
        assert 3 <= taken <= 2 * passed_s + 2  # two per second
        assert not list((it.agent.folder / "state/snapshots").rglob("*.jpg"))


async def test_over_tls(certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    async with box({"server": {"tls_certificate": pem, "tls_key": key}}) as it:
        trusted = ssl.create_default_context(cafile=str(pem))
        async with (
            httpx.AsyncClient(base_url=it.agent.http_url, timeout=LIMIT_S, verify=trusted) as http,
            http.stream("GET", PATH, headers=it.bearer()) as response,
        ):
            seen = await some(parts_of(response), 12)
        assert all(part.data in SHADES for part in seen)
        await until(lambda: is_idle(it))


async def test_over_the_socket_of_the_host() -> None:
    async with box({"views": {"max_live_per_address": 0}}) as it:
        place = it.agent.parts.server.local_socket
        assert place is not None
        transport = httpx.AsyncHTTPTransport(uds=str(place))
        async with (
            httpx.AsyncClient(base_url="http://host", timeout=LIMIT_S, transport=transport) as http,
            http.stream("GET", PATH, headers=it.bearer()) as response,
        ):
            assert len(await some(parts_of(response), 5)) == 5


async def test_it_ends_when_the_camera_goes() -> None:
    async with box() as it:
        async with view(it) as parts, view(it, f"{PATH}?width=32") as scaled:
            await some(parts, 2)
            await some(scaled, 2)
            it.stage.unplug()
            await drained(parts)  # the response is complete: httpx would raise otherwise
            await drained(scaled)
        response = await it.http.get(PATH, headers=it.bearer())
        assert (response.status_code, response.json()["reason"]) == (503, "camera_disconnected")


async def test_a_camera_that_does_not_start_is_an_error_and_no_empty_picture() -> None:
    async with box() as it:
        it.stage.producer.park_error = RuntimeError("no power")
        response = await it.http.get(PATH, headers=it.bearer())
        assert response.status_code == 503
        assert response.json()["reason"] == "producer_failed"


async def test_views_are_limited() -> None:
    views = {"max_live": 3, "max_live_per_camera": 2, "max_live_per_address": 3}
    async with box({"views": views}) as it:
        async with view(it) as one, view(it) as two:
            await some(one, 1)
            await some(two, 1)
            refused = await it.http.get(PATH, headers=it.bearer())
            assert (refused.status_code, refused.json()["reason"]) == (429, "too_many_views")
            assert refused.headers["retry-after"] == "5"
            assert "views.max_live_per_camera" in refused.json()["details"]
            async with view(it, "/cameras/camera1/live.mjpeg") as three:
                await some(three, 1)
                refused = await it.http.get("/cameras/camera1/live.mjpeg", headers=it.bearer())
                assert "views.max_live " in refused.json()["details"]
        await until(lambda: is_idle(it))
        async with view(it) as again:
            await some(again, 1)


async def test_a_client_that_leaves_before_the_first_picture_leaves_nothing_behind() -> None:
    async with box({"views": {"max_live": 1}}) as it:
        it.stage.is_playing = False
        port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(request_of(it))
            await until(lambda: it.stage.producer.streaming)
            assert (await it.http.get(PATH, headers=it.bearer())).json()["reason"] == "too_many_views"
        await until(lambda: is_idle(it))
        it.stage.is_playing = True
        async with view(it) as parts:
            await some(parts, 1)


async def test_other_limits_hold_after_a_reload_for_views_that_come_then() -> None:
    limits = {"max_live": 1}
    async with (
        box({"views": {"max_live": 1}}, reread=lambda: {"views": dict(limits)}) as it,
        it.agent.client("admin") as admin,
        view(it) as one,
    ):
        await some(one, 1)
        assert (await it.http.get(PATH, headers=it.bearer())).status_code == 429
        limits["max_live"] = 2
        await admin.call("reload_configuration")
        async with view(it) as two:
            await some(two, 1)
            limits["max_live"] = 1
            await admin.call("reload_configuration")
            assert (await it.http.get(PATH, headers=it.bearer())).status_code == 429
            await some(one, 2)
            await some(two, 2)


async def test_views_of_one_address_are_limited() -> None:
    async with box({"views": {"max_live_per_address": 1}}) as it, view(it) as one:
        await some(one, 1)
        refused = await it.http.get("/cameras/camera1/live.mjpeg", headers=it.bearer())
        assert "views.max_live_per_address" in refused.json()["details"]
        assert (await it.http.get("/cameras/camera0/snapshot.jpg", headers=it.bearer())).status_code == 200


@pytest.mark.parametrize("by", ["key", "basic", "token", "link", "file of links"])
async def test_revocation_ends_the_view_and_no_other(by: str) -> None:
    async with box() as it, it.agent.client("admin") as admin:
        key, other, headers, path = it.key(), it.key("other"), {}, PATH
        link = await admin.call("create_view_link", device="camera0")
        token = it.agent.token("viewer")
        if by == "basic":
            auth = httpx.BasicAuth("hub", key)
            headers = {"authorization": auth._auth_header}
        elif by == "key":
            headers = {"x-api-key": key}
        elif by == "token":
            headers = {"authorization": f"Bearer {token}"}
        else:
            path = link["url"]
        async with view(it, headers={"x-api-key": other}) as kept, view(it, path, headers) as parts:
            await some(parts, 2)
            await revoke(it, by, token, link["id"])
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await drained(parts)
            await some(kept, 20)
        response = await it.http.get(path, headers=headers)
        assert response.status_code == 401


async def revoke(it: Box, by: str, token: str, link_id: str) -> None:
    state = it.agent.folder / "state"
    if by in {"key", "basic"}:
        ApiKeys(state / "api-keys.json", CLOCK).revoke("hub")
    elif by == "token":
        claims, _ = it.agent.parts.tokens.examine(token)
        RevokedTokens(state / "revoked-tokens.json", CLOCK).revoke(claims.id, claims.expires_at)
    elif by == "link":
        async with it.agent.client("admin") as admin:
            await admin.call("revoke_view_link", id=link_id)
    else:
        Path(state / "view-links.json").unlink()


async def test_a_view_ends_with_its_credentials() -> None:
    async with box() as it:
        headers = {"authorization": f"Bearer {it.agent.token('viewer', lifetime_s=8)}"}
        async with view(it, headers=headers) as parts:
            await drained(parts)
        assert (await it.http.get(PATH, headers=headers)).status_code == 401


async def test_a_view_ends_with_its_link() -> None:
    async with box() as it, it.agent.client("operator") as operator:
        link = await operator.call("create_view_link", device="camera0", lifetime_s=8)
        async with view(it, link["url"], {}) as parts:
            await drained(parts)
        assert (await it.http.get(link["url"])).status_code == 401


async def test_the_agent_ends_although_somebody_looks() -> None:
    """Its end waits for no client that goes on reading, and ends its connection."""
    ended = anyio.Event()

    async def look(client: anyio.abc.SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await client.receive()
        ended.set()

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(LIMIT_S):
            async with box() as it:
                port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
                client = await anyio.connect_tcp("127.0.0.1", port)
                await client.send(request_of(it))
                assert await client.receive()
                tasks.start_soon(look, client)
            await ended.wait()
            await client.aclose()
    assert not it.stage.producer.streaming


async def test_a_websocket_takes_no_basic_credentials() -> None:
    async with box() as it:
        basic = {"Authorization": httpx.BasicAuth("hub", it.key(role=Role.ADMIN))._auth_header}
        async with connect(it.agent.url, additional_headers=basic) as client:
            await client.send('{"jsonrpc": "2.0", "id": 1, "method": "get_camera_list"}')
            error = json.loads(await client.recv())["error"]
        assert error["data"]["reason"] == "not_authenticated"
