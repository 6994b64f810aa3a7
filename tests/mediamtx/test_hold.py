"""Holding a path of a real media server, and errors about servers that break the protocol."""

import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGKILL

import anyio
import anyio.to_thread
import pytest
from anyio.abc import ByteStream, SocketAttribute

from agent_core.base.errors import AgentError, ConfigError, MediaServerRefused, MediaServerUnavailable
from agent_core.media.fmp4 import segment_duration_s
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.rtsp_hold import Hold
from agent_core.mediamtx.schema import Endpoint, PathConf
from agent_core.plugin.rtsp import Challenge, Credentials, Headers, Request, Response, RtspParser
from agent_core.testing.mediamtx import (
    MediaServerUnderTest,
    find_mediamtx,
    publisher_command,
    running_mediamtx,
)
from agent_core.testing.waiting import eventually

CLOSE_AFTER_S = 0.5


def _on_demand(server: MediaServerUnderTest, command: str | None = None) -> PathConf:
    return PathConf(
        run_on_demand=command or publisher_command(),
        run_on_demand_close_after_s=CLOSE_AFTER_S,
        run_on_demand_start_timeout_s=10,
        record_path=server.record_path,
        record_part_duration_s=0.25,
    )


async def _configure(client: MediaServerClient, name: str, conf: PathConf) -> None:
    await client.add_path(name, conf)
    await eventually(lambda: client.path(name))


async def _idle(client: MediaServerClient, name: str) -> bool:
    path = await client.path(name)
    return path is not None and not path.live and not path.readers


async def _recorded_s(server: MediaServerUnderTest) -> float:
    """The length of the only recording file, 0 before there is one."""

    def measure() -> float:
        files = list(server.folder.glob("recordings/**/*.mp4"))
        assert len(files) <= 1
        return sum(map(segment_duration_s, files))

    return await anyio.to_thread.run_sync(measure)


async def _failure(hold: Hold) -> AgentError:
    """What `run` ends with; generous, so that a wrong wait shows as a wrong reason."""
    with anyio.fail_after(20), pytest.raises(AgentError) as caught:
        await hold.run()
    return caught.value


# With a media server


async def test_a_held_path_lives_and_records_and_nothing_is_sent(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", _on_demand(media_server))
    async with anyio.create_task_group() as tasks:
        await tasks.start(Hold(f"{media_server.rtsp_url}/camera0").run)
        path = await media_client.path("camera0")
        assert path is not None
        assert (path.live, path.tracks, len(path.readers)) == (True, ("H264",), 1)

        await media_client.patch_path("camera0", PathConf(record=True))

        async def recorded_for_longer_than_an_unheld_path_lives() -> bool:
            return await _recorded_s(media_server) > CLOSE_AFTER_S + 2

        await eventually(recorded_for_longer_than_an_unheld_path_lives, timeout_s=30)
        path = await media_client.path("camera0")
        assert path is not None
        assert path.inbound_bytes > 0
        assert path.outbound_bytes < 1000  # RTCP at most
        tasks.cancel_scope.cancel()
    await eventually(partial(_idle, media_client, "camera0"))


async def test_letting_go_is_known_to_the_server_when_run_returns(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", _on_demand(media_server))
    async with anyio.create_task_group() as tasks:
        await tasks.start(Hold(f"{media_server.rtsp_url}/camera0").run)
        tasks.cancel_scope.cancel()
    path = await media_client.path("camera0")
    assert path is not None
    assert path.readers == ()


async def test_two_holds_are_two_readers(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", _on_demand(media_server))
    hold = partial(Hold, f"{media_server.rtsp_url}/camera0")
    async with anyio.create_task_group() as tasks:
        await tasks.start(hold().run)
        async with anyio.create_task_group() as second:
            await second.start(hold().run)
            path = await media_client.path("camera0")
            assert path is not None
            assert len(path.readers) == 2
            second.cancel_scope.cancel()
        path = await media_client.path("camera0")
        assert path is not None
        assert (path.live, len(path.readers)) == (True, 1)
        tasks.cancel_scope.cancel()


async def test_keep_alives_are_accepted(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", _on_demand(media_server))
    hold = Hold(f"{media_server.rtsp_url}/camera0", keep_alive_s=0.01)
    async with anyio.create_task_group() as tasks:
        await tasks.start(hold.run)
        (reader,) = await _readers(media_client)

        async def past_many_keep_alives() -> bool:
            path = await media_client.path("camera0")
            return path is not None and path.inbound_bytes > 100_000

        await eventually(past_many_keep_alives)
        assert await _readers(media_client) == (reader,)
        tasks.cancel_scope.cancel()


async def _readers(client: MediaServerClient) -> tuple[Endpoint, ...]:
    path = await client.path("camera0")
    return path.readers if path else ()


@pytest.mark.parametrize("what", ["server", "path"])
async def test_the_end_of_the_server_or_the_path_is_noticed_at_once(
    media_server: MediaServerUnderTest, media_client: MediaServerClient, what: str
) -> None:
    await _configure(media_client, "camera0", _on_demand(media_server))
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - it is the task group that raises
        async with anyio.create_task_group() as tasks:
            await tasks.start(Hold(f"{media_server.rtsp_url}/camera0").run)
            if what == "server":
                media_server.signal(SIGKILL)
            else:
                await media_client.delete_path("camera0")
            with anyio.fail_after(10):  # far below any keep-alive: it is the connection's end that is noticed
                await anyio.sleep_forever()
    (error,) = caught.value.exceptions
    assert isinstance(error, MediaServerUnavailable)
    assert error.reason == "connection_lost"


async def test_the_end_of_the_publisher_is_noticed(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    short = publisher_command().replace(
        "testsrc2=size=320x240:rate=30", "testsrc2=size=320x240:rate=30:duration=1"
    )
    await _configure(media_client, "camera0", _on_demand(media_server, short))
    error = await _failure(Hold(f"{media_server.rtsp_url}/camera0"))
    assert error.reason == "connection_lost"


async def test_a_path_that_is_not_configured_or_not_fed_is_not_found(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", PathConf())
    for name in ("nope", "camera0"):
        error = await _failure(Hold(f"{media_server.rtsp_url}/{name}"))
        assert isinstance(error, MediaServerRefused)
        assert (error.reason, error.method, error.path) == ("stream_not_found", "DESCRIBE", f"/{name}")


async def test_a_source_that_does_not_come_up_is_a_start_time_out(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    conf = PathConf(run_on_demand="sleep 60", run_on_demand_start_timeout_s=1.5)
    await _configure(media_client, "camera0", conf)
    error = await _failure(Hold(f"{media_server.rtsp_url}/camera0"))
    assert error.reason == "start_timed_out"


async def test_a_server_that_stops_during_the_start_is_a_start_time_out(
    media_server: MediaServerUnderTest, media_client: MediaServerClient
) -> None:
    await _configure(media_client, "camera0", PathConf(run_on_demand="sleep 60"))
    error = await _failure(Hold(f"{media_server.rtsp_url}/camera0", start_timeout_s=0.3))
    assert isinstance(error, MediaServerUnavailable)
    assert error.reason == "start_timed_out"


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("method", ["basic", "digest"])
async def test_the_server_asks_for_credentials(tmp_path: Path, method: str) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    users = [
        {"user": "any", "permissions": [{"action": "api"}, {"action": "publish"}]},
        {"user": "agent", "pass": "s3cret!", "permissions": [{"action": "read"}]},
    ]
    settings = {"authInternalUsers": users, "rtspAuthMethods": [method]}
    async with running_mediamtx(program, tmp_path, settings=settings) as server:
        async with MediaServerClient(server.api_url) as client:
            await _configure(client, "camera0", _on_demand(server))
        url = f"{server.rtsp_url}/camera0"
        for good in (
            Hold(url, credentials=Credentials("agent", "s3cret!")),
            Hold(url.replace("://", "://agent:s3cret%21@")),
        ):
            async with anyio.create_task_group() as tasks:
                await tasks.start(good.run)
                tasks.cancel_scope.cancel()
        for bad in (Hold(url), Hold(url, credentials=Credentials("agent", "wrong"))):
            error = await _failure(bad)
            assert error.reason == "not_authorized"
            assert "s3cret" not in f"{error.details} {error.data()}"


# With toys

Answer = Callable[[Request], Response | None]
_SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\na=control:a\r\nm=video 0 RTP/AVP 96\r\na=control:v\r\n"


class _Toy:
    """An RTSP server that answers as told; None is silence."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self._answers = {**_GOOD, **(answers or {})}
        self.requests: list[Request] = []
        self.seen: dict[str, anyio.Event] = {}

    def event(self, method: str) -> anyio.Event:
        return self.seen.setdefault(method, anyio.Event())

    async def _serve(self, stream: ByteStream) -> None:
        parser = RtspParser()
        async with stream:
            try:
                while True:
                    for message in parser.feed(await stream.receive()):
                        assert isinstance(message, Request)
                        await self._respond(stream, message)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _respond(self, stream: ByteStream, request: Request) -> None:
        self.requests.append(request)
        self.event(request.method).set()
        response = self._answers[request.method](request)
        if response is not None:
            fields = [*response.headers, ("CSeq", request.cseq)]
            await stream.send(Response(response.status, Headers(fields), response.body).encode())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield f"rtsp://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/camera0"  # noqa: S610
            tasks.cancel_scope.cancel()


def _ok(headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    return lambda request: Response(200, Headers(headers or {}), body)


def _silence(request: Request) -> None:
    return None


_GOOD: Mapping[str, Answer] = {
    "OPTIONS": _ok({"Public": "DESCRIBE, SETUP, GET_PARAMETER, TEARDOWN"}),
    "DESCRIBE": _ok({"Content-Base": "rtsp://elsewhere.example/base/"}, _SDP),
    "SETUP": _ok({"Session": "abc;timeout=55", "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}),
    "GET_PARAMETER": _ok(),
    "TEARDOWN": _ok(),
}


async def test_the_dialogue_is_set_up_keep_alive_teardown_and_never_play() -> None:
    toy = _Toy()
    async with toy.listening() as url, anyio.create_task_group() as tasks:
        await tasks.start(Hold(url, keep_alive_s=0.01).run)
        with anyio.fail_after(20):
            await toy.event("GET_PARAMETER").wait()
        tasks.cancel_scope.cancel()
    methods = [request.method for request in toy.requests]
    assert methods[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "GET_PARAMETER"]
    assert set(methods[3:-1]) == {"GET_PARAMETER"}
    assert methods[-1] == "TEARDOWN"
    setup = toy.requests[2]
    assert setup.uri == "rtsp://elsewhere.example/base/v"  # the video, not the sound before it
    assert setup.headers.get("Transport") == "RTP/AVP/TCP;unicast;interleaved=0-1"
    assert {request.headers.get("Session") for request in toy.requests[3:]} == {"abc"}


async def test_options_keeps_a_server_alive_that_knows_no_get_parameter() -> None:
    toy = _Toy({"OPTIONS": _ok({"Public": "DESCRIBE, SETUP, TEARDOWN"})})
    async with toy.listening() as url, anyio.create_task_group() as tasks:
        await tasks.start(Hold(url, keep_alive_s=0.01).run)
        toy.seen.pop("OPTIONS")
        with anyio.fail_after(20):
            await toy.event("OPTIONS").wait()
        tasks.cancel_scope.cancel()
    assert "GET_PARAMETER" not in toy.seen


async def test_a_short_session_time_out_is_respected() -> None:
    toy = _Toy({"SETUP": _ok({"Session": "abc;timeout=1"})})
    async with toy.listening() as url, anyio.create_task_group() as tasks:
        await tasks.start(Hold(url).run)
        with anyio.fail_after(20):  # half a second; the default would be 25
            await toy.event("GET_PARAMETER").wait()
        tasks.cancel_scope.cancel()


async def test_a_session_that_the_server_forgot_ends_the_hold() -> None:
    toy = _Toy({"GET_PARAMETER": lambda request: Response(454)})
    async with toy.listening() as url:
        error = await _failure(Hold(url, keep_alive_s=0.01))
    assert isinstance(error, MediaServerRefused)
    assert (error.method, error.status) == ("GET_PARAMETER", 454)


async def test_an_unanswered_teardown_does_not_keep_us() -> None:
    toy = _Toy({"TEARDOWN": _silence})
    async with toy.listening() as url:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                await tasks.start(Hold(url).run)
                tasks.cancel_scope.cancel()
        assert toy.event("TEARDOWN").is_set()


async def test_a_digest_nonce_that_went_stale_is_answered_anew() -> None:
    nonces = iter(["one", "two", "three", "four", "five"])
    current = ""

    def demanding(good: Answer) -> Answer:
        def reply(request: Request) -> Response | None:
            nonlocal current
            given = request.headers.get("Authorization")
            expected = _digest_response("agent", "secret", current, request)
            if current and f'response="{expected}"' in given:
                return good(request)
            current = next(nonces)
            return Response(401, Headers({"WWW-Authenticate": str(Challenge("digest", "toy", current))}))

        return reply

    def forgetting(request: Request) -> Response | None:
        nonlocal current
        current = ""
        return _GOOD["DESCRIBE"](request)

    answers = {method: demanding(good) for method, good in _GOOD.items()}
    answers["DESCRIBE"] = demanding(forgetting)
    toy = _Toy(answers)
    async with toy.listening() as url, anyio.create_task_group() as tasks:
        await tasks.start(Hold(url, credentials=Credentials("agent", "secret")).run)
        tasks.cancel_scope.cancel()
    assert [request.method for request in toy.requests] == [
        *("OPTIONS", "OPTIONS", "DESCRIBE", "SETUP", "SETUP", "TEARDOWN")
    ]


def _digest_response(user: str, password: str, nonce: str, request: Request) -> str:
    """RFC 2617 in the test's own words, so that it can prove ours wrong."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - the protocol's

    return md5(f"{md5(f'{user}:toy:{password}')}:{nonce}:{md5(f'{request.method}:{request.uri}')}")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"OPTIONS": lambda request: Response(500)}, "media_server_refused"),
        (
            {"DESCRIBE": lambda request: Response(302, Headers({"Location": "rtsp://x"}))},
            "media_server_refused",
        ),
        ({"DESCRIBE": lambda request: Response(401)}, "not_authorized"),
        ({"DESCRIBE": _ok(body=b"not SDP")}, "unexpected_answer"),
        ({"DESCRIBE": _ok()}, "unexpected_answer"),
        ({"SETUP": _ok()}, "unexpected_answer"),
        ({"SETUP": lambda request: Response(461)}, "media_server_refused"),
        ({"SETUP": lambda request: Response(400)}, "media_server_refused"),  # as MediaMTX at maxReaders
        ({"SETUP": lambda request: Response(404)}, "stream_not_found"),
        ({"DESCRIBE": _silence}, "start_timed_out"),
    ],
)
async def test_bad_answers_are_explained(answers: Mapping[str, Answer], reason: str) -> None:
    async with _Toy(answers).listening() as url:
        error = await _failure(Hold(url, start_timeout_s=0.2, credentials=Credentials("a", "b")))
    assert error.reason == reason


async def test_another_protocol_is_explained() -> None:
    async def speak_http(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, speak_http)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610
        error = await _failure(Hold(f"rtsp://127.0.0.1:{port}/camera0"))
        assert error.reason == "unexpected_answer"
        tasks.cancel_scope.cancel()


async def test_nobody_there_is_said_as_such() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        error = await _failure(Hold(f"rtsp://127.0.0.1:{taken.getsockname()[1]}/camera0"))
    assert error.reason == "connection_refused"


@pytest.mark.parametrize(
    "url", ["", "camera0", "http://h/camera0", "rtsp:///camera0", "rtsp://h:x/c", "rtsp://[::1/c"]
)
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Hold(url)
    assert caught.value.reason == "invalid_address"
