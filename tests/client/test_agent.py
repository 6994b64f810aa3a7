"""The client against the real server: calls, errors, ends."""

import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio
import anyio.abc
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from agent_core.auth.roles import Role
from agent_core.client import AUTHENTICATION_FAILED, AgentClient, AgentUnreachable, CallFailed, ConnectionLost
from agent_core.client.connection import explain_closed

if TYPE_CHECKING:
    from tests.conftest import Raw, Talk, ToyAgent

Serve = Callable[[Callable[[ServerConnection], Awaitable[None]]], AbstractAsyncContextManager[str]]


#: Most of them talk to servers that answer what a test wants.
pytestmark = pytest.mark.other_server


async def test_a_call_returns_the_methods_result(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        assert (await agent.call("get_camera_list"))["total"] == 2
        assert await agent.call("echo", text="a", number=1.5) == {"text": "a", "number": 1.5}
        assert await agent.call("ping") == "pong"


async def test_public_methods_need_no_token(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url) as agent:
        assert await agent.call("ping") == "pong"
        with pytest.raises(CallFailed) as caught:
            await agent.call("get_camera_list")
    assert caught.value.code == AUTHENTICATION_FAILED


async def test_an_error_leaves_the_block_as_it_is_with_all_that_it_says(toy: "ToyAgent") -> None:
    with pytest.raises(CallFailed, match=r"There is no such camera\.") as caught:
        async with AgentClient(toy.url, toy.token()) as agent:
            await agent.call("get_camera_status", device="camera7")
    error = caught.value
    assert (error.code, error.message, error.reason) == (-32010, "Not found", "camera_not_found")
    assert error.details == "There is no such camera."
    assert error.suggestion.startswith("List what exists first")
    assert error.data["id"] == "camera7"


async def test_an_exception_of_the_block_is_not_wrapped(toy: "ToyAgent") -> None:
    with pytest.raises(LookupError, match="mine"):
        async with AgentClient(toy.url):
            raise LookupError("mine")


async def test_a_wrong_token_is_refused_on_entering(toy: "ToyAgent") -> None:
    with pytest.raises(CallFailed) as caught:
        async with AgentClient(toy.url, "no.such.token"):
            pytest.fail("entered")
    assert (caught.value.code, caught.value.reason) == (AUTHENTICATION_FAILED, "token_invalid")


async def test_a_slow_call_does_not_delay_others_and_can_be_given_up(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token(Role.VIEWER)) as agent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.call, "wait")
            with anyio.fail_after(20):
                await toy.waiting.wait()
                for number in range(20):
                    assert (await agent.call("echo", text=str(number)))["text"] == str(number)
            tasks.cancel_scope.cancel()
        assert await agent.call("ping") == "pong"


async def test_concurrent_calls_get_their_own_replies(toy: "ToyAgent") -> None:
    replies: dict[str, str] = {}

    async def ask(agent: AgentClient, text: str) -> None:
        replies[text] = (await agent.call("echo", text=text))["text"]

    async with AgentClient(toy.url, toy.token()) as agent, anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(ask, agent, str(number))
    assert replies == {str(number): str(number) for number in range(30)}


async def test_every_received_text_is_observed(toy: "ToyAgent") -> None:
    texts: list[str] = []
    async with AgentClient(toy.url, toy.token(), observe=texts.append) as agent:
        await agent.call("ping")
        with pytest.raises(CallFailed):
            await agent.call("get_camera_status", device="camera7")
        async with agent.subscribe(["camera.connected"]) as events:
            toy.bus.publish("camera.connected", {"device": "camera0"})
            with anyio.fail_after(20):
                await anext(events)
    seen = [json.loads(text) for text in texts]
    assert [message["id"] for message in seen if "id" in message] == [1, 2, 3, 4, 5]
    assert any("error" in message for message in seen)
    assert any(message.get("method") == "camera.connected" for message in seen)


async def test_what_json_cannot_express_is_the_callers_error(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(TypeError):
            await agent.call("echo", text=object())
        with pytest.raises(ValueError, match="JSON"):
            await agent.call("echo", text="a", number=float("nan"))
        assert await agent.call("ping") == "pong"


async def test_a_client_that_was_closed_says_so(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        pass
    with pytest.raises(ConnectionLost) as caught:
        await agent.call("ping")
    assert caught.value.reason == "closed"


async def test_calls_before_entering_are_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="enter"):
        await AgentClient("ws://127.0.0.1:1/ws").call("ping")


async def test_cancelling_the_block_closes_the_connection(toy: "ToyAgent") -> None:
    with anyio.move_on_after(5) as scope:
        async with AgentClient(toy.url, toy.token()) as agent:
            scope.cancel()
            await agent.call("wait")
    assert scope.cancelled_caught
    with anyio.fail_after(20):
        while len(toy.sessions):
            await anyio.sleep(0.01)


def refused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_nobody_there() -> None:
    with pytest.raises(AgentUnreachable) as caught:
        async with AgentClient(f"ws://127.0.0.1:{refused_port()}/ws"):
            pytest.fail("entered")
    assert caught.value.reason == "unreachable"
    assert "127.0.0.1" in caught.value.details


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense", "ws://", "ws://127.0.0.1:99999999/ws"])
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(AgentUnreachable) as caught:
        async with AgentClient(url):
            pytest.fail("entered")
    assert caught.value.reason in {"bad_url", "unreachable"}


async def test_a_wrong_path_is_refused_with_its_status(toy: "ToyAgent") -> None:
    with pytest.raises(AgentUnreachable, match="404") as caught:
        async with AgentClient(toy.url.removesuffix("/ws") + "/other"):
            pytest.fail("entered")
    assert caught.value.reason == "refused"


async def test_a_redirect_is_not_followed(
    raw: "Callable[[Talk], AbstractAsyncContextManager[Raw]]", toy: "ToyAgent"
) -> None:
    async def talk(stream: anyio.abc.SocketStream) -> None:
        await stream.receive()
        await stream.send(f"HTTP/1.1 302 Found\r\nLocation: {toy.url}\r\nContent-Length: 0\r\n\r\n".encode())

    async with raw(talk) as server:
        with pytest.raises(AgentUnreachable, match="302"):
            async with AgentClient(server.url, toy.token()):
                pytest.fail("entered")


async def test_something_else_answers(raw: "Callable[[Talk], AbstractAsyncContextManager[Raw]]") -> None:
    async def talk(stream: anyio.abc.SocketStream) -> None:
        await stream.send(b"220 mail.example.org ESMTP\r\n")

    async with raw(talk) as server:
        with pytest.raises(AgentUnreachable) as caught:
            async with AgentClient(server.url):
                pytest.fail("entered")
    assert caught.value.reason == "not_an_agent"


async def test_silence_ends_after_the_time_that_was_given(
    raw: "Callable[[Talk], AbstractAsyncContextManager[Raw]]", websocket: Serve
) -> None:
    async def silent(_stream: anyio.abc.SocketStream) -> None:
        await anyio.sleep_forever()

    async def accepts_only(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with raw(silent) as server:
        with pytest.raises(AgentUnreachable) as caught:
            async with AgentClient(server.url, connect_timeout_s=0.05):
                pytest.fail("entered")
    assert caught.value.reason == "timeout"
    async with websocket(accepts_only) as url:
        with pytest.raises(AgentUnreachable) as caught:
            async with AgentClient(url, "token", connect_timeout_s=0.05):
                pytest.fail("entered")
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize(
    ("code", "reason"), [(1012, "agent_stopping"), (1009, "message_too_large"), (1000, "connection_lost")]
)
async def test_a_socket_closed_during_a_call(websocket: Serve, code: int, reason: str) -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code)

    async with websocket(hang_up) as url, AgentClient(url) as agent:
        with anyio.fail_after(20), pytest.raises(ConnectionLost) as caught:
            await agent.call("ping")
        assert caught.value.reason == reason
        with pytest.raises(ConnectionLost):
            await agent.call("ping")


async def test_a_connection_that_breaks_during_a_call(websocket: Serve) -> None:
    async def vanish(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with websocket(vanish) as url, AgentClient(url) as agent:
        with anyio.fail_after(20), pytest.raises(ConnectionLost) as caught:
            await agent.call("ping")
    assert caught.value.reason == "connection_lost"


@pytest.mark.parametrize("said", ["{", "[]", '"x"', '{"id": 1, "result": 2}', b"\x00"])
async def test_a_peer_that_does_not_speak_json_rpc(websocket: Serve, said: str | bytes) -> None:
    async def babble(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(said)
        await connection.wait_closed()

    async with websocket(babble) as url, AgentClient(url) as agent:
        with anyio.fail_after(20), pytest.raises(AgentUnreachable) as caught:
            await agent.call("ping")
    assert caught.value.reason == "not_an_agent"


@pytest.mark.parametrize("call_id", ["[]", "{}", "1e999", "null", "[[" * 400 + "]]" * 400, '"x"', "true"])
async def test_replies_to_no_call_are_passed_over(websocket: Serve, call_id: str) -> None:
    async def stray(connection: ServerConnection) -> None:
        async for text in connection:
            await connection.send(f'{{"jsonrpc": "2.0", "id": {call_id}, "result": "stray"}}')
            await connection.send(
                json.dumps({"jsonrpc": "2.0", "id": json.loads(text)["id"], "result": "it"})
            )

    async with websocket(stray) as url, AgentClient(url) as agent:
        assert await agent.call("ping") == "it"


async def test_an_error_without_data_still_says_something(websocket: Serve) -> None:
    async def fail(connection: ServerConnection) -> None:
        async for text in connection:
            reply = {
                "jsonrpc": "2.0",
                "id": json.loads(text)["id"],
                "error": {"code": -32601, "message": "No"},
            }
            await connection.send(json.dumps(reply))

    async with websocket(fail) as url, AgentClient(url) as agent:
        with pytest.raises(CallFailed) as caught:
            await agent.call("ping")
    error = caught.value
    assert (error.details, error.reason, error.code) == ("No", "error", -32601)
    assert error.suggestion


async def test_a_reply_that_is_too_large_is_said(websocket: Serve) -> None:
    async def flood(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send("x" * (17 << 20))
        await connection.wait_closed()

    async with websocket(flood) as url, AgentClient(url) as agent:
        with anyio.fail_after(10), pytest.raises(ConnectionLost) as caught:
            await agent.call("ping")
    assert caught.value.reason == "reply_too_large"


def test_an_agent_that_stopped_answering_pings_is_said() -> None:
    ours = Close(
        1011, "keepalive ping timeout"
    )  # what websockets sends then, websockets/asyncio/connection.py
    assert explain_closed(ConnectionClosedError(None, ours)).reason == "no_keepalive"
