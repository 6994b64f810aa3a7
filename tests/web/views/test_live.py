"""`/cameras/{device}/live.mjpeg` of a whole agent."""

import io
import json
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest
from PIL import Image
from websockets.asyncio.client import connect

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.plugin.jpeg import mend
from agent_core.testing.scripted_producer import a_jpeg
from tests.toy_server import until
from tests.web.views.rig import CLOCK, SHADES, Box, Part, box, parts_of, size_of

PATH = "/cameras/camera0/live.mjpeg"
LIMIT_S = 30


@asynccontextmanager
async def view(
    it: Box, path: str = PATH, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[Part]]:
    headers = it.bearer() if headers is None else headers
    with anyio.fail_after(LIMIT_S):
        async with it.http.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield parts_of(response)


async def some(parts: AsyncIterator[Part], count: int) -> list[Part]:
    return [await anext(parts) for _ in range(count)]


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


async def newest_after_silence(it: Box, slow: "Slow", path: str, pictures: list[bytes]) -> int:
    """Show `pictures` to a viewer that reads each; return how much `slow` then reads until it has the newest one."""
    async with view(it, path) as fast, anyio.create_task_group() as tasks:
        await some(fast, 1)
        it.stage.is_playing = False
        seen: list[bytes] = []
        tasks.start_soon(collect, fast, seen)
        for number, picture in enumerate(pictures, 1):
            it.stage.offer(picture)
            while len(seen) < number:  # it gets each one
                await anyio.sleep(0.001)
        assert len(set(seen)) == len(pictures)
        received = await read_until(slow, seen[-1])
        tasks.cancel_scope.cancel()
    return len(received)


async def test_a_client_that_reads_nothing_for_long_gets_the_newest_picture_then_and_delays_nobody() -> None:
    pictures = [large(shade) for shade in range(20, 60)]
    async with box() as it, unread(it) as slow:
        received_bytes = await newest_after_silence(it, slow, PATH, pictures)
    assert received_bytes < 8 * len(pictures[0])  # what the kernel had taken, and the newest


async def test_over_tls_it_gets_the_newest_picture_too(certificate: tuple[Path, Path]) -> None:
    pictures = [large(shade) for shade in range(20, 60)]
    pem, key = certificate
    trusted = ssl.create_default_context(cafile=str(pem))
    async with box({"server": {"tls_certificate": pem, "tls_key": key}}, verify=trusted) as it:
        port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
        async with await anyio.connect_tcp(
            "127.0.0.1", port, ssl_context=trusted, tls_standard_compatible=False
        ) as client:
            await client.send(request_of(it))
            received_bytes = await newest_after_silence(it, client.receive, PATH, pictures)
    assert received_bytes < 8 * len(pictures[0])


async def test_of_a_width_it_gets_the_newest_picture_too() -> None:
    pictures = [noise(seed) for seed in range(40)]
    path = f"{PATH}?width=400"
    async with box() as it, unread(it, path) as slow:
        received_bytes = await newest_after_silence(it, slow, path, pictures)
    assert received_bytes < len(pictures) * 40_000 / 2  # each of them has more


def noise(seed: int) -> bytes:
    """A JPEG of 500x400 pixels that no encoder makes small."""
    pixels = random.Random(seed).randbytes(500 * 400)
    target = io.BytesIO()
    Image.frombytes("L", (500, 400), pixels).save(target, "JPEG", quality=90)
    return target.getvalue()


async def collect(parts: AsyncIterator[Part], seen: list[bytes]) -> None:
    """Note the large pictures: small ones, offered before, may still be under way."""
    async for part in parts:
        if len(part.data) > 10_000:
            seen.append(part.data)  # noqa: PERF401 - read while it grows


def large(shade: int) -> bytes:
    """A JPEG of half a megabyte that differs by its shade."""
    data = a_jpeg(shade=shade)
    comment = b"x" * 65_000
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment
    return mend(data[:2] + segment * 8 + data[2:]).data


#: Returns some bytes of a response, when asked to.
Slow = Callable[[], Awaitable[bytes]]


def request_of(it: Box, path: str = PATH) -> bytes:
    token = it.agent.token("viewer")
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


@asynccontextmanager
async def unread(it: Box, path: str = PATH) -> AsyncIterator[Slow]:
    """A client of the live view that reads nothing by itself, with a small receive buffer."""
    port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(request_of(it, path))

        async def receive() -> bytes:
            await anyio.wait_readable(client)
            return client.recv(1 << 20)

        yield receive


async def read_until(receive: Slow, wanted: bytes) -> bytes:
    received = b""
    with anyio.fail_after(LIMIT_S):
        while wanted not in received:
            received += await receive()
    return received


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    async with box({"server": {"stall_s": 0.2}}) as it, unread(it):
        with anyio.fail_after(LIMIT_S):
            while not it.stage.producer.streaming:
                await anyio.sleep(0.01)
            while it.stage.producer.streaming:
                it.stage.offer(large(100))
                await anyio.sleep(0.02)


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
    async with anyio.create_task_group() as tasks:
        looking = anyio.Event()

        async def look() -> None:
            with anyio.fail_after(LIMIT_S):
                async with box() as it:
                    async with view(it) as parts:
                        await some(parts, 1)
                        looking.set()
                        tasks.cancel_scope.cancel()
                        await anyio.sleep_forever()

        tasks.start_soon(look)
        await looking.wait()


async def test_a_websocket_takes_no_basic_credentials() -> None:
    async with box() as it:
        basic = {"Authorization": httpx.BasicAuth("hub", it.key(role=Role.ADMIN))._auth_header}
        async with connect(it.agent.url, additional_headers=basic) as client:
            await client.send('{"jsonrpc": "2.0", "id": 1, "method": "get_camera_list"}')
            error = json.loads(await client.recv())["error"]
        assert error["data"]["reason"] == "not_authenticated"
