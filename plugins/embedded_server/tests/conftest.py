"""Servers under test: the embedded one, and a real MediaMTX if one is installed."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio
import httpx
import pytest
from anyio.abc import ByteStream

from agent_core.base.clock import SystemClock
from agent_core.plugin.rtsp import Headers, Interleaved, Message, Request, Response, RtspParser
from agent_core.testing.mediamtx import find_mediamtx, running_mediamtx
from embedded_server import EmbeddedServer, EmbeddedServerSettings, serving

_RAN = pytest.StashKey[Counter[str]]()


@dataclass(frozen=True, slots=True)
class Server:
    """Running server. For the embedded one `embedded` is set, and `api_url` has the agent's credentials."""

    kind: str
    api_url: str
    rtsp_url: str
    recordings: Path
    embedded: EmbeddedServer | None = None

    @property
    def open_url(self) -> str:
        """URL of the API without credentials."""
        scheme, _, rest = self.api_url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @property
    def rtsp_port(self) -> int:
        return int(self.rtsp_url.rpartition(":")[2])


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RAN] = Counter()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ran = config.stash.get(_RAN, Counter[str]())
    if ran:
        said = ", ".join(f"{count} on {kind}" for kind, count in sorted(ran.items()))
        terminalreporter.write_line(
            f"media server contract: {said}; real MediaMTX: {find_mediamtx() or 'not found'}"
        )


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real_mediamtx)])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "real" and find_mediamtx() is None:
        pytest.skip("no MediaMTX: set MEDIAMTX_BIN or put mediamtx on PATH")
    request.config.stash.setdefault(_RAN, Counter())[request.param] += 1
    return str(request.param)


@pytest.fixture
async def server(kind: str, tmp_path: Path) -> AsyncIterator[Server]:
    recordings = tmp_path / "recordings"
    async with _embedded(recordings) if kind == "embedded" else _real(recordings, tmp_path) as running:
        yield running


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Server]:
    async with _embedded(tmp_path / "recordings") as running:
        yield running


@pytest.fixture
async def api(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.api_url, timeout=15) as client:
        yield client


@asynccontextmanager
async def _embedded(recordings: Path) -> AsyncIterator[Server]:
    record_path = f"{recordings}/%path/%Y-%m-%d_%H-%M-%S-%f"
    settings = EmbeddedServerSettings(api_port=0, rtsp_port=0, record_path=record_path)
    async with serving(settings, SystemClock()) as running:
        endpoints = await running.wait_endpoints()
        known = endpoints.credentials
        api_url = endpoints.api_url.replace("://", f"://{known.user}:{known.password}@")
        yield Server("embedded", api_url, endpoints.rtsp_url, recordings, running)


@asynccontextmanager
async def _real(recordings: Path, folder: Path) -> AsyncIterator[Server]:
    program = find_mediamtx()
    assert program is not None
    paths = {"recordPath": f"{recordings}/%path/%Y-%m-%d_%H-%M-%S-%f"}
    async with running_mediamtx(program, folder, settings={"pathDefaults": paths}) as running:
        yield Server("real", running.api_url, running.rtsp_url, recordings)


class RtspClient:
    """RTSP connection of a test; requests are sent unchanged."""

    def __init__(self, stream: ByteStream, base: str) -> None:
        self.base = base
        self.session = ""
        self.frames: list[Interleaved] = []
        self._stream = stream
        self._parser = RtspParser()
        self._messages: list[Message] = []
        self._cseq = 0

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Send a request and wait for its answer; frames that arrive meanwhile are kept in `frames`."""
        self._cseq += 1
        fields = {
            "CSeq": str(self._cseq),
            **({"Session": self.session} if self.session else {}),
            **(headers or {}),
        }
        uri = path if path == "*" else f"{self.base}/{path}"
        await self._stream.send(Request(method, uri, Headers(fields), body).encode())
        with anyio.fail_after(15):
            while not isinstance(message := await self.next(), Response):
                assert isinstance(message, Interleaved)
                self.frames.append(message)
        if session := message.headers.get("Session"):
            self.session = session.partition(";")[0]
        return message

    async def next(self) -> Message:
        while not self._messages:
            self._messages = list(self._parser.feed(await self._stream.receive()))
        return self._messages.pop(0)

    async def packet(self) -> Interleaved:
        """Return the next RTP packet; skip reports."""
        while True:
            message = await self.next()
            if isinstance(message, Interleaved) and message.channel == 0:
                return message

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def play(self, path: str) -> None:
        """Send DESCRIBE, SETUP of the first track, and PLAY."""
        assert (await self.ask("DESCRIBE", path)).status == 200
        await self.hold(path)
        assert (await self.ask("PLAY", path)).status == 200

    async def hold(self, path: str) -> None:
        """Send SETUP of the first track only."""
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        assert (await self.ask("SETUP", f"{path}/trackID=0", transport)).status == 200

    async def publish(self, path: str, description: bytes | None = None, tracks: int = 1) -> None:
        """Become the publisher of a stream, whose packets the caller sends; track n is on channel 2n."""
        headers = {"Content-Type": "application/sdp"}
        assert (await self.ask("ANNOUNCE", path, headers, description or DESCRIPTION)).status == 200
        for number in range(tracks):
            channels = f"{2 * number}-{2 * number + 1}"
            transport = {"Transport": f"RTP/AVP/TCP;unicast;interleaved={channels};mode=record"}
            assert (await self.ask("SETUP", f"{path}/streamid={number}", transport)).status == 200
        assert (await self.ask("RECORD", path)).status == 200

    async def ended(self, within_s: float = 10) -> None:
        """Wait until the server closes the connection; discard all data before."""
        with anyio.fail_after(within_s):
            try:
                while True:
                    await self.next()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


#: FFmpeg's description of a stream of 1280x720.
DESCRIPTION = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==; "
    b"profile-level-id=42C01F\r\na=control:streamid=0\r\n"
)


class RtspFactory(Protocol):
    def __call__(self) -> AbstractAsyncContextManager[RtspClient]: ...


@pytest.fixture
def rtsp(server: Server) -> RtspFactory:
    """Return a function that opens RTSP connections to the server under test."""
    return _connector(server)


def _connector(server: Server) -> RtspFactory:
    @asynccontextmanager
    async def connect() -> AsyncIterator[RtspClient]:
        async with await anyio.connect_tcp("127.0.0.1", server.rtsp_port) as stream:
            yield RtspClient(stream, server.rtsp_url)

    return connect


@pytest.fixture
def embedded_rtsp(embedded: Server) -> RtspFactory:
    """Return the same for tests of the embedded server only."""
    return _connector(embedded)
