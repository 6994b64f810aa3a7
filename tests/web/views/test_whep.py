"""WHEP relayed by a whole agent: to a real MediaMTX, to servers that answer oddly, and without any."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.abc
import httpx
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, InvalidParams, MediaServerError, NotFound, RateLimited
from agent_core.base.models import Camera, CameraId, CameraStatus, DetectedCamera, Fingerprint
from agent_core.config import ViewsConfig
from agent_core.streams.models import MediaAddresses, WhepAnswer, WhepRequest
from agent_core.streams.whep import WhepRelay
from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.mediamtx import find_mediamtx, free_ports, running_mediamtx
from agent_core.web.views.places import Places
from tests.toy_server import until
from tests.web.views.rig import box

if TYPE_CHECKING:
    from agent_core.mediamtx import ServerLink
    from agent_core.streams import StreamService

PATH = "/cameras/camera0/whep"
SDP = {"content-type": "application/sdp"}
OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}",
        "a=setup:actpass",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "",
    )
)


@asynccontextmanager
async def managed(
    views: Mapping[str, int] | None = None,
) -> AsyncIterator[tuple[RunningAgent, httpx.AsyncClient]]:
    """An agent with a MediaMTX of its own that serves WebRTC."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    ports = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)
    config: Mapping[str, Any] = {
        "media_server": {"mode": "managed", "program": str(program), **ports},
        "views": views or {},
        "plugins": {
            "enabled": ["virtual_camera", "ffmpeg_tier"],
            "virtual_camera": {"cameras": [{"name": "Door", "id": "camera0", "width": 320, "height": 240}]},
        },
    }
    async with (
        running_agent(config=config) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        yield agent, http


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
async def test_a_session_is_made_changed_and_ended() -> None:
    async with managed() as (agent, http):
        viewer = {"authorization": f"Bearer {agent.token('viewer')}"}
        with anyio.fail_after(90):
            while (
                made := await http.post(PATH, content=OFFER, headers=viewer | SDP)
            ).status_code != 201:  # the media server starts
                assert made.status_code in (409, 503), made.text
                await anyio.sleep(0.2)
        assert made.headers["content-type"] == "application/sdp"
        assert "m=video" in made.text
        assert made.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in made.headers
        location = made.headers["location"]
        assert location.startswith("whep/")
        session = f"/cameras/camera0/{location}"
        wrong = await http.patch(session, content=b"", headers=viewer)
        assert wrong.status_code == 415
        candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
        changed = await http.patch(
            session,
            content=candidate,
            headers=viewer | {"content-type": "application/trickle-ice-sdpfrag", "if-match": "*"},
        )
        assert changed.status_code == 204, changed.text
        assert (await http.delete(session)).status_code == 401
        assert (await http.delete(session, headers=viewer)).status_code == 200
        again = await http.delete(session, headers=viewer)
        assert (again.status_code, again.json()["reason"]) == (404, "whep_session_not_found")
        refused = await http.post(PATH, content="v=0\r\n", headers=viewer | SDP)
        assert (refused.status_code, refused.json()["param"]) == (400, "body")
        assert "access" not in str(refused.headers).lower()


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
async def test_a_session_ends_with_the_access_of_its_client_and_no_other_does() -> None:
    async with managed() as (agent, http):
        sessions, made = agent.parts.media.whep.sessions, {}
        keys = ApiKeys(agent.folder / "state/api-keys.json", SystemClock())
        with anyio.fail_after(90):
            for user in ("kept", "revoked"):
                headers = {"x-api-key": keys.create(user, Role.VIEWER)} | SDP
                while (answer := await http.post(PATH, content=OFFER, headers=headers)).status_code != 201:
                    await anyio.sleep(0.2)  # the media server starts
                made[user] = answer.headers["location"].partition("/")[2]
            assert len(sessions) == 2
            keys.revoke("revoked")
            await until(lambda: len(sessions) == 1)
        server = agent.parts.media.link.current
        assert server is not None
        # Asked at once: a session without a connection ends by itself after a while.
        known = server.endpoints.credentials
        auth = httpx.BasicAuth(known.user, known.password) if known else httpx.Auth()
        at = f"http://127.0.0.1:{agent.parts.media.service.addresses.webrtc_port}/camera0/whep"
        # MediaMTX 1.20.1 answers 400 for a session that it does not know.
        assert (await http.delete(f"{at}/{made['revoked']}", auth=auth)).status_code in (400, 404)
        assert (await http.delete(f"{at}/{made['kept']}", auth=auth)).status_code == 200


@pytest.mark.real_mediamtx
@pytest.mark.timeout(180)
async def test_a_session_whose_client_never_comes_gives_its_place_back() -> None:
    async with managed({"max_live_per_camera": 1}) as (agent, http):
        sessions = agent.parts.media.whep.sessions
        headers = {"authorization": f"Bearer {agent.token('viewer')}"} | SDP
        with anyio.fail_after(150):
            while (await http.post(PATH, content=OFFER, headers=headers)).status_code != 201:
                await anyio.sleep(0.2)  # the media server starts
            refused = await http.post(PATH, content=OFFER, headers=headers)
            assert (refused.status_code, refused.json()["reason"]) == (429, "too_many_views")
            live = await http.get("/cameras/camera0/live.mjpeg", headers=headers)
            assert live.status_code == 429, "WebRTC and MJPEG share the places"
            while len(sessions):
                await anyio.sleep(0.2)  # the media server waits 10 s for the client
            assert (await http.post(PATH, content=OFFER, headers=headers)).status_code == 201


@pytest.mark.real_mediamtx
@pytest.mark.timeout(120)
async def test_the_end_of_the_agent_ends_its_sessions_at_an_external_server(tmp_path: Path) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    port, udp_port = free_ports()
    webrtc = {
        "webrtc": True,
        "webrtcAddress": f"127.0.0.1:{port}",
        "webrtcLocalUDPAddress": f"127.0.0.1:{udp_port}",
        "webrtcHandshakeTimeout": "100s",
    }
    async with running_mediamtx(program, tmp_path, settings=webrtc) as server:
        config = {
            "media_server": {
                "mode": "external",
                "api_url": server.api_url,
                "rtsp_url": server.rtsp_url,
                "webrtc_port": port,
            },
            "plugins": {
                "enabled": ["virtual_camera", "ffmpeg_tier"],
                "virtual_camera": {
                    "cameras": [{"name": "Door", "id": "camera0", "width": 320, "height": 240}]
                },
            },
        }
        async with httpx.AsyncClient(base_url=server.api_url) as api:

            async def sessions() -> int:
                return int((await api.get("/v3/webrtcsessions/list")).json()["itemCount"])

            async with (
                running_agent(config=config) as agent,
                httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
            ):
                headers = {"authorization": f"Bearer {agent.token('viewer')}"} | SDP
                with anyio.fail_after(90):
                    while (await http.post(PATH, content=OFFER, headers=headers)).status_code != 201:
                        await anyio.sleep(0.2)
                assert await sessions() == 1
                followed = agent.parts.media.whep.sessions
                await followed.forget_ended()
                assert len(followed) == 1, "the media server has it"
            assert await sessions() == 0


@pytest.mark.parametrize(
    "plugins", [["virtual_camera"], ["virtual_camera", "ffmpeg_tier", "embedded_server"]]
)
async def test_without_webrtc_it_says_so(plugins: list[str]) -> None:
    config = {
        "plugins": {"enabled": plugins, "virtual_camera": {"cameras": [{"name": "Door", "id": "camera0"}]}}
    }
    if "embedded_server" in plugins:
        config["plugins"]["embedded_server"] = {"api_port": 0, "rtsp_port": 0}
    async with (
        running_agent(config=config) as agent,
        httpx.AsyncClient(base_url=agent.http_url, timeout=30) as http,
    ):
        headers = {"authorization": f"Bearer {agent.token('viewer')}"} | SDP
        answer = await http.post(PATH, content=OFFER, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (409, "no_webrtc")
        assert answer.json()["feature"] == "webrtc"


async def test_access_and_limits() -> None:
    async with box() as it, it.agent.client("admin") as admin:
        link = await admin.call("create_view_link", device="camera0")
        secret = link["url"].partition("?view=")[2]
        for headers, path in (({}, PATH), ({}, f"{PATH}?view={secret}"), ({"x-api-key": "x"}, PATH)):
            assert (await it.http.post(path, content=OFFER, headers=headers | SDP)).status_code == 401
        viewer = it.bearer()
        foreign = {"sec-fetch-site": "cross-site"}
        assert (await it.http.post(PATH, content=OFFER, headers=viewer | SDP | foreign)).status_code == 403
        assert (await it.http.post(PATH, content=OFFER, headers=viewer)).status_code == 415
        plain = {"content-type": "text/plain"}
        assert (await it.http.post(PATH, content=OFFER, headers=viewer | plain)).status_code == 415
        assert (await it.http.post(PATH, content=b"x" * 100_000, headers=viewer | SDP)).status_code == 413
        assert (await it.http.post(f"{PATH}?url=x", content=OFFER, headers=viewer | SDP)).status_code == 400
        assert (
            await it.http.post("/cameras/camera9/whep", content=OFFER, headers=viewer | SDP)
        ).status_code == 404
        for method, path in (("GET", PATH), ("OPTIONS", PATH), ("PUT", PATH), ("POST", f"{PATH}/x")):
            assert (await it.http.request(method, path, headers=viewer)).status_code == 405


class OddServer:
    """HTTP server that gives one answer to all requests, and keeps them."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.requests: list[bytes] = []

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        async with client:
            self.requests.append(await client.receive())
            await client.send(self._answer)


def answer_of(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Streams:
    """Streams that start at once, and count their holders."""

    def __init__(self, port: int) -> None:
        self.addresses = MediaAddresses(
            host="192.0.2.1", rtsp_port=1, hls_port=2, webrtc_port=port, served=("rtsp", "webrtc")
        )
        self.held = 0

    async def start(self, camera: Camera, holder: str) -> None:
        self.held += 1

    def release(self, camera: CameraId, holder: str) -> None:
        self.held -= 1


CAMERA = Camera(
    CameraId("camera0"), CameraStatus.CONNECTED, 0.0, DetectedCamera("a", "A", Fingerprint("t", "1"), None)
)


@asynccontextmanager
async def relaying(answer: bytes) -> AsyncIterator[tuple[WhepRelay, OddServer, Streams]]:
    """Relay to a server that gives `answer` to all requests."""
    server = OddServer(answer)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, server.serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
        streams = Streams(port)
        endpoints = SimpleNamespace(rtsp_url="rtsp://127.0.0.1:1", credentials=None)
        link = SimpleNamespace(current=SimpleNamespace(endpoints=endpoints))
        relay = WhepRelay(cast("StreamService", streams), cast("ServerLink", link), clock=SystemClock())
        async with anyio.create_task_group() as following:
            await following.start(relay.sessions.run)
            yield relay, server, streams
            following.cancel_scope.cancel()
        tasks.cancel_scope.cancel()
    assert streams.held == 0


async def relayed(answer: bytes, request: WhepRequest) -> tuple[object, OddServer, Streams]:
    """Relay `request` to a server that gives `answer`; return the answer or the error."""
    async with relaying(answer) as (relay, server, streams):
        try:
            result: object = await relay.relay(CAMERA, request)
        except AgentError as error:
            result = error
    return result, server, streams


POST = WhepRequest("POST", None, SDP, b"offer")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answer_of("201 Created", Location="/camera1/whep/abc"), MediaServerError),
        (answer_of("201 Created", Location="http://evil.example/x"), MediaServerError),
        (answer_of("201 Created", Location="/camera0/whep/../../v3/config"), MediaServerError),
        (answer_of("201 Created"), MediaServerError),
        (answer_of("302 Found", Location="http://169.254.169.254/camera0/whep/x"), MediaServerError),
        (answer_of("500 Internal Server Error"), MediaServerError),
        (answer_of("401 Unauthorized"), MediaServerError),
        (answer_of("201 Created", b"x" * 100_000, Location="/camera0/whep/abc"), MediaServerError),
        (b"nonsense\r\n\r\n", MediaServerError),
        (b"", MediaServerError),
        (answer_of("400 Bad Request", b"secret"), InvalidParams),
    ],
    ids=lambda value: "",
)
async def test_odd_answers_become_errors(answer: bytes, kind: type[AgentError]) -> None:
    result, _, _ = await relayed(answer, POST)
    assert isinstance(result, kind)
    assert "secret" not in result.details


@pytest.mark.parametrize("location", ["/camera0/whep/a-b_1", "http://10.0.0.1:8889/camera0/whep/a-b_1"])
async def test_the_session_is_found_in_the_location(location: str) -> None:
    answer = answer_of("201 Created", b"sdp", Location=location, ETag='"1"', Server="x", Link="<stun:y>")
    result, server, _ = await relayed(answer, POST)
    made: Any = result
    assert (made.status, made.session, made.body) == (201, "a-b_1", b"sdp")
    assert made.headers == {"etag": '"1"', "link": "<stun:y>"}
    assert server.requests[0].startswith(b"POST /camera0/whep HTTP/1.1\r\n")


@pytest.mark.parametrize("session", ["../x", "a/b", "", "a?b", "ä", "x" * 200, "a\n"])
async def test_a_session_s_name_leads_nowhere_else(session: str) -> None:
    request = WhepRequest("DELETE", session, {}, b"")
    result, server, _ = await relayed(answer_of("200 OK"), request)
    assert isinstance(result, NotFound)
    assert server.requests == []


async def test_the_media_server_is_told_of_the_end_of_access() -> None:
    over = anyio.Event()
    request = replace(POST, until_over=over.wait)
    answer = answer_of("201 Created", Location="/camera0/whep/abc")
    async with relaying(answer) as (relay, server, _):
        await relay.relay(CAMERA, request)
        assert len(relay.sessions) == 1
        over.set()
        await until(lambda: len(server.requests) == 2)
    assert server.requests[1].startswith(b"DELETE /camera0/whep/abc HTTP/1.1\r\n")


async def test_the_media_server_is_told_of_the_end_of_the_agent() -> None:
    answer = answer_of("201 Created", Location="/camera0/whep/abc")
    _, server, _ = await relayed(answer, POST)
    assert [each.split(b" HTTP")[0] for each in server.requests] == [
        b"POST /camera0/whep",
        b"DELETE /camera0/whep/abc",
    ]


async def test_a_session_takes_a_place_until_its_end() -> None:
    places = Places(ViewsConfig(max_live_per_address=1))
    async with relaying(answer_of("201 Created", Location="/camera0/whep/abc")) as (relay, server, _):
        await relay.relay(CAMERA, replace(POST, place=places.take("camera0", "192.0.2.1")))
        assert len(places) == 1
        with pytest.raises(RateLimited) as caught:
            await relay.relay(CAMERA, replace(POST, place=places.take("camera0", "192.0.2.1")))
        assert caught.value.reason == "too_many_views"
        assert len(server.requests) == 1, "the media server is not asked"
        other = places.take("camera0", "192.0.2.2")
        await relay.relay(CAMERA, WhepRequest("PATCH", "abc", {}, b"", place=other))
        assert len(places) == 1, "a change takes none"
        await relay.relay(CAMERA, WhepRequest("DELETE", "abc", {}, b"", place=other))
        assert len(places) == 0


@pytest.mark.parametrize("answer", [answer_of("500 Internal Server Error"), answer_of("201 Created"), b""])
async def test_an_offer_that_fails_leaves_its_place(answer: bytes) -> None:
    places = Places(ViewsConfig())
    result, _, _ = await relayed(answer, replace(POST, place=places.take("camera0", "192.0.2.1")))
    assert isinstance(result, MediaServerError)
    assert len(places) == 0


async def test_a_session_that_its_client_ends_is_followed_no_longer() -> None:
    answer = answer_of("201 Created", Location="/camera0/whep/abc")
    async with relaying(answer) as (relay, server, _):
        await relay.relay(CAMERA, POST)
        await relay.relay(CAMERA, WhepRequest("PATCH", "abc", {}, b""))
        assert len(relay.sessions) == 1
        await relay.relay(CAMERA, WhepRequest("DELETE", "abc", {}, b""))
        assert len(relay.sessions) == 0
    assert len(server.requests) == 3


async def test_a_session_that_the_media_server_has_ended_is_followed_no_longer() -> None:
    async with relaying(answer_of("404 Not Found")) as (relay, _, _):
        relay.sessions.follow(CAMERA.id, "abc", anyio.sleep_forever)
        with pytest.raises(NotFound):
            await relay.relay(CAMERA, WhepRequest("PATCH", "abc", {}, b""))
        assert len(relay.sessions) == 0


async def test_bytes_beyond_ascii_in_a_header_are_passed_on() -> None:
    request = WhepRequest("PATCH", "abc", {"if-match": '"\xe4"'}, b"")
    result, server, _ = await relayed(answer_of("204 No Content"), request)
    assert isinstance(result, WhepAnswer)
    assert b'if-match: "\xe4"\r\n' in server.requests[0].lower()
