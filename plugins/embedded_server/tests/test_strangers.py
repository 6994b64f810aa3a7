"""Limits of other accounts and of web pages: API, streams, disk and malformed input."""

import base64
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.abc import SocketListener
from anyio.streams.stapled import MultiListener
from pydantic import SecretStr

from agent_core.base.clock import SystemClock
from agent_core.plugin.processes import run
from embedded_server import EmbeddedServerSettings, User, serving
from embedded_server.api.access import is_json, why_foreign
from embedded_server.api.http import HttpRequest
from embedded_server.connections.peers import Endpoint, Peers, owner_by_netlink, owner_by_table
from embedded_server.recording.roots import RecordingRoots

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another account")
OPERATOR = User(name="op", password=SecretStr("s3"))
FREE: dict[str, Any] = {"api_port": 0, "rtsp_port": 0}
DESCRIPTION = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n"
)
#: Sends bytes (in Base64) to a port and prints the first line of the answer; another account may be unable to run Python.
SEND = 'exec 3<>"/dev/tcp/$0/$1" && base64 -d <<<"$2" >&3 && head -n 1 <&3'


async def as_nobody(host: str, port: int, data: bytes) -> bytes:
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    text = base64.b64encode(data).decode()
    finished = await run([*words, "bash", "-c", SEND, host, str(port), text])
    assert finished.returncode == 0
    return finished.stdout


def announce(path: str = "cam", extra: str = "") -> bytes:
    head = f"ANNOUNCE rtsp://127.0.0.1/{path} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n"
    return f"{head}{extra}Content-Length: {len(DESCRIPTION)}\r\n\r\n".encode() + DESCRIPTION


async def raw(port: int, head: str, body: bytes = b"") -> int:
    """Send a request unchanged and return the status of the answer."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        with anyio.fail_after(10):
            answer = await stream.receive()
    return int(answer.split()[1])


@pytest.fixture
async def api(embedded: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=10) as client:
        yield client


@pytest.fixture
async def operator(embedded: Any, api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Client of the API with a user's password."""
    users = [{"user": "op", "pass": "s3", "permissions": [{"action": "api"}, {"action": "publish"}]}]
    assert (await api.patch("/v3/config/global/patch", json={"authInternalUsers": users})).status_code == 200
    async with httpx.AsyncClient(base_url=embedded.open_url, auth=("op", "s3"), timeout=10) as client:
        with anyio.fail_after(10):
            while (await client.get("/v3/info")).status_code != 200:
                pass
        yield client


async def added(api: httpx.AsyncClient, path: str, **options: Any) -> None:
    assert (await api.post(f"/v3/config/paths/add/{path}", json=options)).status_code == 200
    with anyio.fail_after(10):
        while (await api.get(f"/v3/paths/get/{path}")).status_code != 200:
            await anyio.sleep(0.01)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_the_api_requires_credentials(embedded: Any, method: str) -> None:
    async with httpx.AsyncClient(base_url=embedded.open_url, timeout=30) as stranger:
        for path in ("/v3/info", "/v3/config/paths/add/evil", "/v3/recordings/deletesegment"):
            refused = await stranger.request(method, path)
            assert (refused.status_code, refused.json()["status"]) == (401, "error")
            assert not [name for name in refused.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "headers",
    [
        "Host: evil.example:{port}",
        "Host: evil.example",
        "Host: 192.0.2.1:{port}",
        "Host: 127.0.0.1.evil.example",
        "Host: localhost@evil.example",
        "Host: 127.0.0.1:{port}\nOrigin: https://evil.example",
        "Host: 127.0.0.1:{port}\nOrigin: null",
        "Host: 127.0.0.1:{port}\nOrigin: http://localhost:{port}",
        "Host: 127.0.0.1:{port}\nSec-Fetch-Site: cross-site",
        "Host: 127.0.0.1:{port}\nOrigin: https://evil.example\nAccess-Control-Request-Method: POST",
    ],
)
async def test_a_foreign_page_is_refused_even_with_credentials(embedded: Any, headers: str) -> None:
    endpoints = embedded.embedded.endpoints
    known = httpx.BasicAuth(endpoints.credentials.user, endpoints.credentials.password)
    credentials = next(known.auth_flow(httpx.Request("GET", "http://x"))).headers["Authorization"]
    text = headers.format(port=endpoints.api_port)
    for method in ("GET", "POST", "OPTIONS"):
        head = f"{method} /v3/info HTTP/1.1\n{text}\nAuthorization: {credentials}"
        assert await raw(endpoints.api_port, head) == 403


@pytest.mark.parametrize("given", [None, "text/plain", "application/x-www-form-urlencoded", "text/json"])
async def test_a_body_must_be_declared_as_json(api: httpx.AsyncClient, given: str | None) -> None:
    headers = {"Content-Type": given} if given else {}
    refused = await api.post("/v3/config/paths/add/cam", content=b"{}", headers=headers)
    assert refused.status_code == 415
    assert (await api.get("/v3/config/paths/get/cam")).status_code == 404


@pytest.mark.parametrize(
    ("host", "local", "accepted"),
    [
        ("localhost:1", "127.0.0.1", True),
        ("[::1]:1", "::1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("device.example", "10.0.0.1", True),
        ("other.example", "10.0.0.1", False),
        ("", "127.0.0.1", False),
        ("a:b:c", "127.0.0.1", False),
    ],
)
def test_names_of_the_server(host: str, local: str, accepted: bool) -> None:
    request = HttpRequest("GET", "/", {}, {"host": host}, b"", "10.0.0.9", local)
    assert (why_foreign(request, ("device.example",)) is None) is accepted


@pytest.mark.parametrize(
    ("content_type", "accepted"), [("Application/JSON; charset=utf-8", True), ("application/jsonp", False)]
)
def test_types_of_bodies(content_type: str, accepted: bool) -> None:
    assert is_json(content_type) is accepted


@pytest.mark.parametrize("key", ["runOnInit", "runOnDemand", "runOnUnDemand", "runOnRead"])
async def test_only_the_agent_sets_commands(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, key: str, tmp_path: Path
) -> None:
    options = {key: f"touch {tmp_path}/ran"}
    await added(api, "cam")
    for method, address in (
        ("POST", "paths/add/evil"),
        ("POST", "paths/replace/cam"),
        ("PATCH", "paths/patch/cam"),
        ("PATCH", "pathdefaults/patch"),
    ):
        refused = await operator.request(method, f"/v3/config/{address}", json=options)
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            f"'{key}' can be set by the agent only",
        )
    assert not (tmp_path / "ran").exists()
    await added(api, "ours", runOnDemand="true")
    listed = (await operator.get("/v3/config/paths/get/ours")).json()
    assert (await operator.post("/v3/config/paths/replace/ours", json=listed)).status_code == 200


@pytest.mark.parametrize(
    "pattern",
    ["{outside}/%path/%s", "{root}/../%path/%s", "{root}/%path/../../%s", "{root}x/%path/%s", "%path/%s"],
)
async def test_a_record_path_outside_the_roots_is_refused(
    embedded: Any, api: httpx.AsyncClient, tmp_path: Path, pattern: str
) -> None:
    await added(api, "cam")
    options = {"recordPath": pattern.format(outside=tmp_path / "outside", root=embedded.recordings)}
    for method, address in (
        ("POST", "paths/add/evil"),
        ("PATCH", "paths/patch/cam"),
        ("PATCH", "pathdefaults/patch"),
    ):
        refused = await api.request(method, f"/v3/config/{address}", json=options)
        assert refused.status_code == 400
        assert "recordPath" in refused.json()["error"]


async def test_nothing_is_deleted_or_listed_through_a_link(
    embedded: Any, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "2026-01-01_00-00-00-000000.mp4"
    victim.write_text("x")
    embedded.recordings.mkdir()
    (embedded.recordings / "cam").symlink_to(outside)
    await added(api, "cam", recordPath=f"{embedded.recordings}/%path/%Y-%m-%d_%H-%M-%S-%f")
    query = {"path": "cam", "start": "2026-01-01T00:00:00Z"}
    assert (await api.delete("/v3/recordings/deletesegment", params=query)).status_code == 400
    assert (await api.get("/v3/recordings/get/cam")).json()["segments"] == []
    assert victim.exists()


async def test_recordings_are_private_with_any_umask(embedded: Any) -> None:
    roots = RecordingRoots((embedded.recordings,))
    before = os.umask(0)
    try:
        os.close(roots.create(embedded.recordings / "cam" / "x" / "1.mp4"))
    finally:
        os.umask(before)
    found = [embedded.recordings, *sorted(embedded.recordings.rglob("*"))]
    assert [stat.S_IMODE(each.stat().st_mode) for each in found] == [0o750, 0o750, 0o750, 0o640]


def test_a_pipe_in_place_of_a_segment_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.mp4")
    with pytest.raises(OSError, match=r".+"):
        RecordingRoots((tmp_path,)).create(tmp_path / "1.mp4")


@needs_root
async def test_another_account_cannot_publish(embedded: Any, api: httpx.AsyncClient) -> None:
    await added(api, "cam")
    refused = await as_nobody("127.0.0.1", embedded.rtsp_port, announce())
    assert refused.startswith(b"RTSP/1.0 401 ")
    assert (await api.get("/v3/paths/get/cam")).json()["source"] is None


@needs_root
@pytest.mark.parametrize(("password", "status"), [("b3A6czM=", b"200"), ("b3A6eA==", b"401")])
async def test_another_account_can_publish_with_a_password(
    embedded: Any, operator: httpx.AsyncClient, password: str, status: bytes
) -> None:
    await added(operator, "cam")
    said = announce(extra=f"Authorization: Basic {password}\r\n")
    assert (await as_nobody("127.0.0.1", embedded.rtsp_port, said)).split()[1] == status


async def test_the_own_account_publishes_without_a_password() -> None:
    settings = EmbeddedServerSettings(users=(OPERATOR,), **FREE)
    async with serving(settings, SystemClock()) as server:
        endpoints = await server.wait_endpoints()
        async with httpx.AsyncClient(base_url=endpoints.api_url, auth=("op", "s3"), timeout=30) as api:
            await added(api, "cam")
        async with await anyio.connect_tcp("127.0.0.1", endpoints.rtsp_port) as stream:
            await stream.send(announce())
            assert (await stream.receive()).startswith(b"RTSP/1.0 200 ")


@asynccontextmanager
async def connection(host: str, address: str) -> AsyncIterator[tuple[Endpoint, Endpoint, Any]]:
    """Yield the client's and the server's endpoint of a connection, and the client's stream."""
    async with await anyio.create_tcp_listener(local_host=host, local_port=0) as listener:
        assert isinstance(listener, MultiListener)
        (one,) = listener.listeners
        assert isinstance(one, SocketListener)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django
        async with (
            await anyio.connect_tcp(address, port) as client,
            await one.accept() as ours,
        ):
            ends = [
                Endpoint.of(*ours.extra(each)[:2])  # noqa: S610 - not Django
                for each in (
                    anyio.abc.SocketAttribute.remote_address,
                    anyio.abc.SocketAttribute.local_address,
                )
            ]
            yield ends[0], ends[1], client


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
async def test_the_owner_of_a_connection(host: str, address: str) -> None:
    async with connection(host, address) as (client, server, stream):
        name = "tcp6" if ":" in host else "tcp"
        assert owner_by_netlink(client, server) == os.geteuid()
        assert owner_by_table(client, server, Path(f"/proc/net/{name}").read_text()) == os.geteuid()
        await stream.aclose()
        # The kernel reports root as the owner of a socket that no process holds any more.
        assert owner_by_netlink(client, server) is None
        assert owner_by_table(client, server, Path(f"/proc/net/{name}").read_text()) is None


@pytest.mark.parametrize("refusal", [None, errno.EPROTONOSUPPORT, errno.EPERM, errno.EINVAL])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_owner_is_found_without_netlink(address: str, refusal: int | None) -> None:
    """A kernel without the module tcp_diag reports every socket as missing (None here)."""

    def ask(client: Endpoint, server: Endpoint) -> int | None:
        if refusal is not None:
            raise OSError(refusal, os.strerror(refusal))
        return None

    async with connection(address, address) as (client, server, stream):
        peers = Peers(ask=ask)
        assert await peers.owner(client, server) == os.geteuid()
        await stream.aclose()
        assert await peers.owner(client, server) is None


async def test_a_hanging_table_takes_no_thread_of_other_work(tmp_path: Path) -> None:
    """A pipe without a writer stands in for the table: opening it blocks its reader."""
    table = tmp_path / "tcp"
    os.mkfifo(table)
    client, server = Endpoint("127.0.0.1", 4000), Endpoint("127.0.0.1", 8554)
    tables = {socket.AF_INET: table, socket.AF_INET6: tmp_path / "tcp6"}
    peers = Peers(ask=lambda _client, _server: None, tables=tables)
    callers = int(anyio.to_thread.current_default_thread_limiter().total_tokens) + 1
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            for _ in range(callers):
                tg.start_soon(peers.owner, client, server)
            writer = await _open_for_writing(table)
            try:
                with anyio.fail_after(10):
                    assert await anyio.to_thread.run_sync(lambda: "free") == "free"
            finally:
                tg.cancel_scope.cancel()
                os.close(writer)


async def _open_for_writing(pipe: Path) -> int:
    """Open `pipe` as soon as it has a reader."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        await anyio.sleep(0.01)


def test_a_connection_of_other_hosts_has_no_owner() -> None:
    assert owner_by_netlink(Endpoint("192.0.2.1", 4000), Endpoint("192.0.2.2", 8554)) is None
    assert Endpoint.of("::ffff:127.0.0.1", 1) == Endpoint("127.0.0.1", 1)


@pytest.mark.parametrize(
    "body",
    [
        '{"maxReaders": ' + "1" * 4400 + "}",
        '{"maxReaders": 1e999}',
        '{"runOnDemandStartTimeout": "' + "1" * 5000 + 's"}',
        '{"runOnDemandStartTimeout": "' + "9" * 30 + 'd"}',
        '{"recordMaxPartSize": "' + "1" * 5000 + 'M"}',
        '{"forward": ' + "[" * 500 + "]" * 500 + "}",
        '{"forward": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
async def test_an_excessive_value_is_refused(api: httpx.AsyncClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused = await api.post("/v3/config/paths/add/cam", content=body.encode(), headers=headers)
    assert (refused.status_code, refused.json()["status"]) == (400, "error")


async def test_a_lone_surrogate_is_replaced(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"source": "rtsp://127.0.0.1:1/\\ud800", "sourceOnDemand": true}'
    assert (await api.post("/v3/config/paths/add/cam", content=body, headers=headers)).status_code == 200
    await added(api, "other")
    assert (await api.get("/v3/config/paths/get/cam")).json()["source"] == "rtsp://127.0.0.1:1/\ufffd"
    unknown = await api.post("/v3/config/paths/add/x", content=b'{"\\udfff": 1}', headers=headers)
    assert unknown.status_code == 400


@pytest.mark.parametrize("query", ["itemsPerPage=" + "1" * 5000, "page=" + "9" * 5000])
async def test_an_excessive_page_number_is_refused(api: httpx.AsyncClient, query: str) -> None:
    assert (await api.get(f"/v3/paths/list?{query}")).status_code == 400


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_year_without_local_time_is_refused(api: httpx.AsyncClient, start: str) -> None:
    await added(api, "cam")
    query = {"path": "cam", "start": start}
    assert (await api.delete("/v3/recordings/deletesegment", params=query)).status_code == 400


@pytest.mark.parametrize(
    "name", ["~(a+)+$", "~(a|a)*b", "~a*a*a*a*b", "~(?=a)", r"~(a)\1*+", "~(a|b)(a|b)a*a*"]
)
async def test_an_expensive_expression_is_refused(api: httpx.AsyncClient, name: str) -> None:
    refused = await api.post(f"/v3/config/paths/add/{quote(name, safe='')}", json={})
    assert refused.status_code == 400
    assert "regular expression" in refused.json()["error"]


async def test_two_lengths_of_a_body_are_refused(embedded: Any) -> None:
    port = embedded.embedded.endpoints.api_port
    head = f"POST /v3/info HTTP/1.1\nHost: 127.0.0.1:{port}\nContent-Length: 5\nTransfer-Encoding: chunked"
    assert await raw(port, head, b"0\r\n\r\n") == 400


async def test_a_large_body_without_credentials_is_not_awaited(embedded: Any) -> None:
    port = embedded.embedded.endpoints.api_port
    head = f"POST /v3/info HTTP/1.1\nHost: 127.0.0.1:{port}\nContent-Length: {1 << 30}"
    assert await raw(port, head, bytes(512 << 10)) == 401


async def test_control_characters_of_a_path_are_not_logged(
    embedded: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with await anyio.connect_tcp("127.0.0.1", embedded.rtsp_port) as stream:
        await stream.send(b"DESCRIBE rtsp://h/a%0aFORGED%1b[31m RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert (await stream.receive()).startswith(b"RTSP/1.0 400 ")
    assert not [
        record for record in caplog.records if "\n" in record.getMessage() or "\x1b" in record.getMessage()
    ]
