"""The routes over real sockets."""

import resource
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from agent_core.auth.links import DownloadLinks
from agent_core.auth.live import LiveAccess
from agent_core.auth.roles import Principal, Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AuthenticationFailed, PermissionDenied, RateLimited
from agent_core.base.metrics import Collected, MetricRegistry
from agent_core.config import ServerConfig
from agent_core.media.downloads import DirectoryFiles, Downloads, ServedFile
from agent_core.web.routes import web_app
from agent_core.web.server import RpcServer
from tests.toy_server import Toy

SECRET = b"kJ3n_fz8Q2xY0vB6tLr5wPq9sHd1mCg7"
BODY = bytes(range(256)) * 4


USER = Principal("someone", Role.VIEWER, None, "someone")


class Tokens:
    """A gate that knows two words."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    def is_current(self, credential: str) -> bool:
        return credential not in self.revoked

    async def catch_up(self) -> None:
        pass

    async def require(self, credentials: str, address: str, role: str) -> Principal:
        if credentials == "busy":
            raise RateLimited("Too many.", retry_after_ms=1500)
        if credentials not in {"viewer", "admin"}:
            raise AuthenticationFailed("No.", reason="token_invalid")
        if role == "admin" and credentials == "viewer":
            raise PermissionDenied("No.", required_role="admin", have_role="viewer")
        return USER


class Recordings:
    """Two segments, the first of which is also the recording."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.mended = threading.Event()
        self.hanging = 0

    def resolve(self, name: str) -> ServedFile | None:
        if name == "on-a-disk-that-hangs":
            self.hanging += 1
            self.mended.wait()
        if name != "rec":
            return None
        return ServedFile(self._root, "rec/0.mp4", next_name="rec/1 é.mp4")


class Agent:
    is_ready = False

    async def collect(self) -> Sequence[Collected]:
        await self.collecting.wait()
        return self.registry.collect()

    def __init__(self, base: Path) -> None:
        self.snapshots = base / "snapshots"
        self.recordings = base / "recordings"
        (self.snapshots / "camera0").mkdir(parents=True)
        (self.snapshots / "camera0" / "é a.jpg").write_bytes(BODY)
        (self.recordings / "rec").mkdir(parents=True)
        (self.recordings / "rec" / "0.mp4").write_bytes(b"x" * 3_000_000)
        (base / "outside.jpg").write_bytes(b"outside")
        (self.snapshots / "link.jpg").symlink_to(base / "outside.jpg")
        self.hanging = Recordings(self.recordings)
        self.collecting = anyio.Event()
        self.collecting.set()
        self.registry = MetricRegistry()
        self.registry.gauge("up", "It is up.", lambda: 1)
        self.gate = Tokens()
        self.live = LiveAccess()
        self.links = DownloadLinks(Secret(SECRET), SystemClock(), is_current=self.gate.is_current)
        self.app = web_app(
            ready=lambda: self.is_ready,
            metrics=self.collect,
            gate=self.gate,
            links=self.links,
            live=self.live,
            open_download=Downloads(
                {"snapshots": DirectoryFiles(self.snapshots), "recordings": self.hanging}
            ).open,
        )


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


@pytest.fixture
async def http(agent: Agent, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    server = RpcServer(ServerConfig(port=0), Toy(tmp_path / "toy").sessions, agent.app)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
            yield client
        tasks.cancel_scope.cancel()


VIEWER = {"Authorization": "Bearer viewer"}
URL = "/files/snapshots/camera0/%C3%A9%20a.jpg"


async def test_health(http: httpx.AsyncClient, agent: Agent) -> None:
    assert (await http.get("/healthz")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).status_code == 503
    agent.is_ready = True
    response = await http.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert (await http.post("/healthz")).status_code == 405
    assert (await http.get("/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (VIEWER, 403), ({"Authorization": "Bearer admin"}, 200), ({"X-API-Key": "admin"}, 200)],
)
async def test_metrics_are_for_admins(http: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    response = await http.get("/metrics", headers=headers)
    assert response.status_code == status
    if status == 200:
        assert response.text.startswith("# HELP up It is up.\n# TYPE up gauge\nup 1.0\n")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")


ADMIN = {"Authorization": "Bearer admin"}


async def test_the_format_of_metrics_is_negotiated_over_all_accept_headers(http: httpx.AsyncClient) -> None:
    accepts = [("accept", "text/plain;q=0.1"), ("accept", "application/openmetrics-text")]
    response = await http.get("/metrics", headers=[*ADMIN.items(), *accepts])
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["vary"] == "accept"
    assert response.headers["cache-control"] == "no-store"
    assert response.text.endswith("# EOF\n")


async def test_head_of_metrics_has_no_body_and_post_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.head("/metrics", headers=ADMIN)
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0
    assert (await http.head("/metrics")).status_code == 401
    assert (await http.post("/metrics", headers=ADMIN)).status_code == 405


async def test_a_scrape_that_takes_long_holds_up_nobody_else(http: httpx.AsyncClient, agent: Agent) -> None:
    agent.collecting = anyio.Event()
    answers: list[httpx.Response] = []

    async def keep() -> None:
        answers.append(await http.get("/metrics", headers=ADMIN))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(keep)
        for _ in range(20):
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get(URL, headers=VIEWER)).content == BODY
        assert answers == []
        agent.collecting.set()
    assert [each.status_code for each in answers] == [200] * 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (VIEWER, 200),
        ({"authorization": "bearer  viewer"}, 200),
        ({"X-API-Key": "viewer"}, 200),
        ({"X-API-Key": "wrong"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic dmlld2Vy"}, 401),
        ({"X-API-Key": "busy"}, 429),
    ],
)
async def test_files_are_for_viewers(http: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    for path in (URL, "/files/snapshots/nothing.jpg", "/files/nokind/x"):
        response = await http.get(path, headers=headers)
        assert response.status_code == (status if path == URL or status != 200 else 404)
        if response.is_error:
            assert set(response.json()) == {"reason", "details", "suggestion"}
        if response.status_code == 401:
            assert response.headers["www-authenticate"] == "Bearer"
        if response.status_code == 429:
            assert response.headers["retry-after"] == "2"


async def test_a_download(http: httpx.AsyncClient, agent: Agent) -> None:
    response = await http.get(URL, headers=VIEWER)
    assert response.content == BODY
    headers = response.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-length"] == "1024"
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9%20a.jpg"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["accept-ranges"] == "bytes"
    modified_s = (agent.snapshots / "camera0" / "é a.jpg").stat().st_mtime
    assert headers["last-modified"] == datetime.fromtimestamp(modified_s, UTC).strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )


async def test_head_has_the_headers_only(http: httpx.AsyncClient) -> None:
    response = await http.head(URL, headers=VIEWER)
    assert (response.status_code, response.headers["content-length"], response.content) == (200, "1024", b"")
    assert (await http.head(URL)).status_code == 401


async def test_a_signed_link_needs_no_token(http: httpx.AsyncClient, agent: Agent) -> None:
    link = agent.links.of(USER)("snapshots", "camera0/é a.jpg")
    assert (await http.get(link)).content == BODY
    assert (await http.head(link)).status_code == 200
    for bad in (link[:-1], link.replace("camera0", "camera1"), link.replace("expires=", "expires=1")):
        response = await http.get(bad)
        assert (response.status_code, response.json()["reason"]) == (401, "link_invalid")


async def test_parts_and_conditions(http: httpx.AsyncClient) -> None:
    part = await http.get(URL, headers=VIEWER | {"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, BODY[10:20])
    assert part.headers["content-range"] == "bytes 10-19/1024"
    assert part.headers["content-length"] == "10"
    none = await http.get(URL, headers=VIEWER | {"Range": "bytes=1024-"})
    assert (none.status_code, none.content, none.headers["content-range"]) == (416, b"", "bytes */1024")
    same = await http.get(URL, headers=VIEWER | {"If-None-Match": part.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert "content-length" not in same.headers
    assert same.headers["etag"] == part.headers["etag"]
    whole = await http.get(URL, headers=VIEWER | {"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (whole.status_code, whole.content) == (200, BODY)


@pytest.mark.parametrize(
    "path",
    [
        "..%2foutside.jpg", "%2e%2e/outside.jpg", "camera0/..%2f..%2foutside.jpg", "..%252foutside.jpg",
        "%2fetc%2fpasswd", "/etc/passwd", "link.jpg", "camera0", "camera0%2f", "camera0/%00", "..%5coutside.jpg",
        "camera0%2f.%2f%C3%A9%20a.jpg", "%ff%fe", "camera0/%0a", "", "....//outside.jpg", "~root",
    ],
)  # fmt: skip
async def test_nothing_outside_is_served(http: httpx.AsyncClient, agent: Agent, path: str) -> None:
    host, port = http.base_url.host, http.base_url.port
    request = (
        f"GET /files/snapshots/{path} HTTP/1.1\r\nHost: a\r\nX-API-Key: viewer\r\nConnection: close\r\n\r\n"
    )
    answer = b""
    async with await anyio.connect_tcp(host, port or 0) as stream:
        await stream.send(request.encode())
        with anyio.fail_after(20):
            async for chunk in stream:
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"outside" not in answer.replace(b"outside.jpg", b"")


async def test_a_file_that_grows_is_served_as_it_was(http: httpx.AsyncClient, agent: Agent) -> None:
    path = agent.recordings / "rec" / "0.mp4"
    received = 0
    async with http.stream("GET", "/files/recordings/rec", headers=VIEWER) as response:
        assert response.headers["content-length"] == "3000000"
        assert response.headers["link"] == '</files/recordings/rec/1%20%C3%A9.mp4>; rel="next"'
        assert response.headers["content-type"] == "video/mp4"
        async for chunk in response.aiter_raw():
            received += len(chunk)
            with path.open("ab") as file:
                file.write(b"more")
    assert received == 3_000_000
    first = response.headers["etag"]
    assert (await http.head("/files/recordings/rec", headers=VIEWER)).headers["etag"] != first


async def test_a_file_that_shrinks_ends_the_connection(http: httpx.AsyncClient, agent: Agent) -> None:
    path = agent.recordings / "rec" / "0.mp4"
    path.write_bytes(b"x" * 30_000_000)

    async def read_while_cut() -> None:
        async with http.stream("GET", "/files/recordings/rec", headers=VIEWER) as response:
            async for _ in response.aiter_raw():
                path.write_bytes(b"")

    with pytest.raises(httpx.RemoteProtocolError):
        await read_while_cut()


async def test_a_peer_that_leaves_ends_its_download(http: httpx.AsyncClient, agent: Agent) -> None:
    path = agent.recordings / "rec" / "0.mp4"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # would take for ever to read
    async with http.stream("GET", "/files/recordings/rec", headers=VIEWER) as response:
        assert response.status_code == 200
    with anyio.fail_after(20):
        while _is_open(path):
            await anyio.sleep(0.01)


async def test_no_condition_leaves_a_file_open(http: httpx.AsyncClient, agent: Agent) -> None:
    path = agent.snapshots / "camera0" / "é a.jpg"
    link = agent.links.of(USER)("snapshots", "camera0/é a.jpg")
    dates = ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "1" * 5000]
    for header in ("If-Modified-Since", "If-Range", "If-None-Match", "Range"):
        for date in dates:
            response = await http.get(link, headers={header: date})
            assert (response.status_code, response.content) == (200, BODY)
    assert not _is_open(path)


async def test_without_descriptors_a_download_is_told_to_come_back(
    http: httpx.AsyncClient, agent: Agent
) -> None:
    assert (await http.get(URL, headers=VIEWER)).status_code == 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        response = await http.get(URL, headers=VIEWER)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (response.status_code, response.json()["reason"]) == (503, "storage_failed")
    assert int(response.headers["retry-after"]) > 0
    assert (await http.get(URL, headers=VIEWER)).content == BODY


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/metrics/", "/files", "/files/", "//healthz"])
async def test_the_host_header_leads_nowhere(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers={"Host": "evil.example"})
    assert response.status_code == 404
    assert "evil.example" not in str(response.headers) + response.text


def _is_open(path: Path) -> bool:
    return any(_target(fd) == path for fd in Path("/proc/self/fd").iterdir())


def _target(fd: Path) -> Path | None:
    try:
        return fd.readlink()
    except OSError:
        return None


async def test_a_disk_that_hangs_holds_up_only_the_files_on_it(http: httpx.AsyncClient, agent: Agent) -> None:
    async def ask() -> None:
        response = await http.get("/files/recordings/on-a-disk-that-hangs", headers=VIEWER, timeout=40)
        assert response.status_code == 404

    try:
        async with anyio.create_task_group() as tg:
            for _ in range(50):
                tg.start_soon(ask)
            with anyio.fail_after(20):
                while agent.hanging.hanging < 8:
                    await anyio.sleep(0.005)
            response = await http.get(URL, headers=VIEWER, timeout=20)
            assert response.content == BODY
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            assert agent.hanging.hanging == 8
            agent.hanging.mended.set()
    finally:
        agent.hanging.mended.set()
