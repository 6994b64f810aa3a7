"""Component: settings, endpoints, shutdown, and emulation of the older version."""

import base64
import hashlib
import os
import signal
import socket
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import SecretStr, ValidationError

from agent_core.base.clock import SystemClock
from agent_core.plugin import MediaServer, StartFailed, ffmpeg
from agent_core.plugin.processes import child
from agent_core.plugin.rtsp import Credentials, answer
from agent_core.testing import FakeAgent
from embedded_server import EmbeddedServer, EmbeddedServerPlugin, EmbeddedServerSettings, User, serving
from embedded_server.connections.listening import listen

FREE = {"api_port": 0, "rtsp_port": 0}
OPERATOR = User(name="op", password=SecretStr("s3"))


def api_of(server: EmbeddedServer) -> httpx.AsyncClient:
    """Return a client with the agent's credentials."""
    assert server.endpoints is not None
    return httpx.AsyncClient(base_url=server.endpoints.api_url, auth=known(server), timeout=30)


def known(server: EmbeddedServer) -> tuple[str, str]:
    assert server.endpoints is not None
    return server.endpoints.credentials.user, server.endpoints.credentials.password


async def test_endpoints_are_set_while_it_runs() -> None:
    server = EmbeddedServer(EmbeddedServerSettings(**FREE), SystemClock())
    before = server.endpoints
    assert before is None
    async with anyio.create_task_group() as tg:
        tg.start_soon(server.run)
        with anyio.fail_after(20):
            endpoints = await server.wait_endpoints()
        assert endpoints == server.endpoints
        assert endpoints.api_url == f"http://127.0.0.1:{endpoints.api_port}"
        assert endpoints.rtsp_url == f"rtsp://127.0.0.1:{endpoints.rtsp_port}"
        tg.cancel_scope.cancel()
    after = server.endpoints
    assert after is None


async def test_a_restart_forgets_paths_and_keeps_ports() -> None:
    server = EmbeddedServer(EmbeddedServerSettings(**FREE), SystemClock())
    started, addresses = set(), set()
    for _ in range(2):
        async with anyio.create_task_group() as tg:
            await tg.start(server.run)
            assert server.endpoints is not None
            addresses.add(server.endpoints)
            async with api_of(server) as api:
                assert (await api.post("/v3/config/paths/add/cam", json={})).status_code == 200
                started.add((await api.get("/v3/info")).json()["started"])
            tg.cancel_scope.cancel()
    assert len(started) == 2
    assert len(addresses) == 1


@pytest.mark.parametrize("setting", ["api_port", "rtsp_port"])
async def test_a_port_in_use_is_reported(setting: str) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as taken:
        port = int(taken.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610 - not Django
        settings = EmbeddedServerSettings(**FREE | {setting: port})
        with pytest.raises(StartFailed) as caught:
            await EmbeddedServer(settings, SystemClock()).run()
    assert caught.value.reason == "port_in_use"
    assert setting in str(caught.value.suggestion)
    assert str(port) in str(caught.value)


@pytest.mark.parametrize("setting", ["api_port", "rtsp_port"])
@pytest.mark.parametrize(
    ("host", "reason", "step"),
    [
        ("192.0.2.1", "host_not_here", "plugins.embedded_server.host"),
        ("no.such.host.invalid", "host_unknown", "plugins.embedded_server.host"),
        ("a" * 64, "host_unknown", "plugins.embedded_server.host"),
    ],
)
async def test_a_host_to_listen_on_that_is_not_here_is_reported_as_such(
    setting: str, host: str, reason: str, step: str
) -> None:
    with pytest.raises(StartFailed) as caught:
        await listen(host, 0, setting)
    assert caught.value.reason == reason
    assert step in caught.value.suggestion
    assert "port" not in caught.value.suggestion
    assert host in caught.value.details


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use low ports")
async def test_a_port_that_the_account_may_not_use_is_reported_as_such() -> None:
    with pytest.raises(StartFailed) as caught:
        await listen("127.0.0.1", 1, "rtsp_port")
    assert caught.value.reason == "port_not_allowed"
    assert "plugins.embedded_server.rtsp_port" in caught.value.suggestion


@pytest.mark.parametrize(
    ("host", "own", "reached"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1"]),
        ("::1", "[::1]", ["::1"]),
        ("::", "127.0.0.1", ["::1", "127.0.0.1"]),
        ("0.0.0.0", "127.0.0.1", ["127.0.0.1"]),  # noqa: S104 - for the length of a test
    ],
)
async def test_each_address_to_listen_on_is_reached(host: str, own: str, reached: list[str]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with serving(EmbeddedServerSettings(host=host, **FREE), SystemClock()) as server:
        endpoints = await server.wait_endpoints()
        assert endpoints.api_url == f"http://{own}:{endpoints.api_port}"
        assert endpoints.rtsp_url == f"rtsp://{own}:{endpoints.rtsp_port}"
        async with api_of(server) as api:
            assert (await api.post("/v3/config/paths/add/cam", json={})).status_code == 200
            listed = (await api.get("/v3/config/global/get")).json()
            assert listed["apiAddress"].rpartition(":")[0] == (f"[{host}]" if ":" in host else host)
            for address in reached:
                url = f"http://{f'[{address}]' if ':' in address else address}:{endpoints.api_port}/v3/info"
                assert (await api.get(url)).status_code == 200
                async with await anyio.connect_tcp(address, endpoints.rtsp_port) as stream:
                    await stream.send(
                        b"SETUP rtsp://h/cam/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;unicast\r\n\r\n"
                    )
                    assert b"RTSP/1.0 461" in await stream.receive()
                    (session,) = (await api.get("/v3/rtspsessions/list")).json()["items"]
                    assert session["remoteAddr"].rpartition(":")[0].strip("[]") == address
                with anyio.fail_after(10):
                    while (await api.get("/v3/rtspsessions/list")).json()["items"]:
                        await anyio.sleep(0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_port": -1},
        {"legacy": "1.9"},
        {"users": [{"name": "", "password": "x"}]},
        {"users": [{"name": "any", "password": "x"}]},
        {"record_path": "/%path/%s"},
        {"rtsp_auth_methods": []},
        {"x": 1},
    ],
)
def test_invalid_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EmbeddedServerSettings.model_validate(wrong)


async def test_clients_need_a_password_except_to_publish_from_this_host(tmp_path: Path) -> None:
    settings = EmbeddedServerSettings(users=(OPERATOR,), **FREE)
    async with serving(settings, SystemClock()) as server:
        endpoints = await server.wait_endpoints()
        async with httpx.AsyncClient(base_url=endpoints.api_url, timeout=30) as api:
            assert (await api.get("/v3/info")).status_code == 401
            allowed = await api.get("/v3/config/global/get", auth=("op", "s3"))
        assert allowed.status_code == 200
        assert "s3" not in allowed.text


async def test_digest(embedded: Any, embedded_rtsp: Any) -> None:
    users = [
        {"user": "any", "pass": "", "permissions": [{"action": "publish"}, {"action": "api"}]},
        {"user": "view", "pass": "v", "permissions": [{"action": "read"}]},
    ]
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=30) as api:
        await api.post("/v3/config/paths/add/cam", json={})
        await api.patch(
            "/v3/config/global/patch", json={"authInternalUsers": users, "rtspAuthMethods": ["digest"]}
        )
    with anyio.fail_after(20):  # the change ends all connections, including those to the API
        while not await _asks_with_digest(embedded.api_url):
            await anyio.sleep(0.01)
    async with embedded_rtsp() as publisher, embedded_rtsp() as reader:
        await publisher.publish("cam")
        asked = await reader.ask("DESCRIBE", "cam")
        assert asked.status == 401
        challenges = asked.headers.all("WWW-Authenticate")
        assert challenges[0].startswith('Digest realm="ipcam", nonce="')
        text = answer(challenges, Credentials("view", "v"), "DESCRIBE", f"{reader.base}/cam")
        assert (await reader.ask("DESCRIBE", "cam", {"Authorization": text})).status == 200
        stale = text.replace('nonce="', 'nonce="0')
        assert (await reader.ask("DESCRIBE", "cam", {"Authorization": stale})).status == 401
        wrong = answer(challenges, Credentials("view", "x"), "DESCRIBE", f"{reader.base}/cam")
        assert (await reader.ask("DESCRIBE", "cam", {"Authorization": wrong})).status == 401
        await reader.ended()


async def _asks_with_digest(api_url: str) -> bool:
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
        try:
            found = (await api.get("/v3/config/global/get")).json()
        except httpx.TransportError:
            return False
    return bool(found["rtspAuthMethods"] == ["digest"])


async def test_the_older_version() -> None:
    async with serving(EmbeddedServerSettings(legacy="1.15.4", **FREE), SystemClock()) as server:
        async with api_of(server) as api:
            assert (await api.get("/v3/info")).json()["version"] == "v1.15.4"
            added = await api.post("/v3/config/paths/add/cam", json={"record": False})
            assert (added.status_code, added.content) == (200, b"")
            refused = await api.post("/v3/config/paths/add/cam", json={})
            assert (refused.status_code, refused.text) == (400, '{"error":"path already exists"}')
            newer = await api.patch("/v3/config/paths/patch/cam", json={"forward": []})
            assert newer.json() == {"error": 'json: unknown field "forward"'}
            options = (await api.get("/v3/config/paths/get/cam")).json()
            assert "runOnAvailable" not in options
            with anyio.fail_after(20):
                while (path := await api.get("/v3/paths/get/cam")).status_code != 200:
                    await anyio.sleep(0.01)
            assert list(path.json()) == [
                *("name", "confName", "source", "ready", "readyTime", "tracks"),
                *("bytesReceived", "bytesSent", "readers"),
            ]


SERVE = """
import anyio, sys
from agent_core.base.clock import SystemClock
from embedded_server import EmbeddedServerSettings, serving

async def main():
    settings = EmbeddedServerSettings(api_port=0, rtsp_port=0, record_path=sys.argv[1])
    async with serving(settings, SystemClock()) as server:
        known = server.endpoints.credentials
        print(server.endpoints.api_url.replace("://", f"://{known.user}:{known.password}@"), flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


async def test_a_server_that_ends_finishes_its_recording(tmp_path: Path) -> None:
    settings = EmbeddedServerSettings(**FREE, record_path=f"{tmp_path}/%path/%Y-%m-%d_%H-%M-%S-%f")
    server = EmbeddedServer(settings, SystemClock())
    source = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15")
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p")
    async with anyio.create_task_group() as tg:
        await tg.start(server.run)
        endpoints = await server.wait_endpoints()
        async with api_of(server) as api:
            options = {"record": True, "recordPartDuration": "250ms"}
            assert (await api.post("/v3/config/paths/add/cam", json=options)).status_code == 200
        output = ("-f", "rtsp", "-rtsp_transport", "tcp", f"{endpoints.rtsp_url}/cam")
        tg.start_soon(_publish, [ffmpeg.locate(), *ffmpeg.QUIET, *source, *encoder, *output])
        with anyio.fail_after(20):
            while not (files := list(tmp_path.glob("cam/*.mp4"))):
                await anyio.sleep(0.05)
        unfinished = files[0].read_bytes()
        tg.cancel_scope.cancel()
    at = unfinished.index(b"mvhd") + 20
    assert unfinished[at : at + 4] == bytes(4)
    assert int.from_bytes(files[0].read_bytes()[at : at + 4], "big") >= 250
    await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(files[0]), "-f", "null", "-"])


async def _publish(argv: list[str]) -> None:
    async with child(argv) as process:
        await process.wait()


async def test_a_killed_server_leaves_a_file_that_plays_and_no_process(tmp_path: Path) -> None:
    source = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15")
    encoder = (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "8",
        "-pix_fmt",
        "yuv420p",
    )
    output = ("-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH")
    publisher = " ".join(f'"{word}"' for word in (ffmpeg.locate(), *ffmpeg.QUIET, *source, *encoder, *output))
    record_path = f"{tmp_path}/%path/%Y-%m-%d_%H-%M-%S-%f"
    async with child([sys.executable, "-c", SERVE, record_path]) as process:
        assert process.stdout is not None
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 200)
        api_url = line.decode()
        async with httpx.AsyncClient(base_url=api_url, timeout=30) as api:
            options = {"runOnInit": publisher, "record": True, "recordPartDuration": "250ms"}
            assert (await api.post("/v3/config/paths/add/cam", json=options)).status_code == 200
            with anyio.fail_after(20):
                while not (files := list(tmp_path.glob("cam/*.mp4"))) or files[0].stat().st_size < 200_000:
                    await anyio.sleep(0.05)
            publishers = [int(each.name) for each in Path("/proc").iterdir() if _is_child(each, process.pid)]
        os.kill(process.pid, signal.SIGKILL)
        with anyio.fail_after(20):
            while any(Path(f"/proc/{pid}").exists() and _alive(pid) for pid in publishers):
                await anyio.sleep(0.02)
    assert publishers
    await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(files[0]), "-c", "copy", "-f", "null", "-"])


def _is_child(folder: Path, parent: int) -> bool:
    try:
        return (
            folder.name.isdigit()
            and int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
        )
    except (OSError, IndexError):
        return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_entry_point_provides_one_media_server() -> None:
    (found,) = entry_points(group="camera_agent.plugins", name="embedded_server")
    assert found.load() is EmbeddedServerPlugin
    components = EmbeddedServerPlugin(EmbeddedServerSettings()).agent_components(FakeAgent(Path("/nowhere")))
    assert [type(each) for each in components] == [EmbeddedServer]
    assert isinstance(components[0], MediaServer)
    assert components[0].name == "embedded_server"


async def test_each_agent_has_new_credentials() -> None:
    servers = [EmbeddedServer(EmbeddedServerSettings(**FREE), SystemClock()) for _ in range(2)]
    passwords = set()
    for server in servers:
        async with anyio.create_task_group() as tg:
            await tg.start(server.run)
            passwords.add(known(server)[1])
            tg.cancel_scope.cancel()
    assert len(passwords) == 2
    assert all(len(each) >= 32 for each in passwords)


async def test_a_hashed_password_is_accepted() -> None:
    digest = base64.b64encode(hashlib.sha256(b"s3").digest()).decode()
    user = User(name="op", password=SecretStr(f"sha256:{digest}"))
    async with serving(EmbeddedServerSettings(users=(user,), **FREE), SystemClock()) as server:
        endpoints = await server.wait_endpoints()
        async with httpx.AsyncClient(base_url=endpoints.api_url, timeout=30) as api:
            assert (await api.get("/v3/info", auth=("op", "s3"))).status_code == 200
