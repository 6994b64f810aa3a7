"""Contract of the sessions that the core lends to plugins, as tests that each implementation inherits."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
import pytest

from agent_core.base.errors import PluginError
from agent_core.plugin import AuthenticationFailed, ClientSessions, NotFound, PrincipalSource
from agent_core.testing.waiting import eventually

__all__ = ("ClientSessionsContract", "SessionsUnderTest")

#: Limit of each wait for a message, generous for a loaded machine.
_LIMIT_S = 30.0
#: More events than wait for one session (`server.max_queued_events`).
_MANY_EVENTS = 600


@dataclass(frozen=True, slots=True)
class SessionsUnderTest:
    """Sessions of the plugin named `lender`, and what moves them.

    The agent has a topic `lender.counted` and a method `lender.wait` for the role `operator`, which never answers.

    Attributes:
        sessions: the sessions.
        publish: publishes the number it gets as the field `number` of an event `lender.counted`.
        user: returns a user with a role, whose credentials can be revoked.
        revoke: revokes a user's credentials.
        waiting: returns how many calls of `lender.wait` are running.
    """

    sessions: ClientSessions
    publish: Callable[[int], object]
    user: Callable[[str], PrincipalSource]
    revoke: Callable[[PrincipalSource], Awaitable[None]]
    waiting: Callable[[], int]


class _Stream:
    """`ClientStream` in memory, and the client at its other end. `buffer` messages wait for the client."""

    def __init__(self, buffer: float = math.inf) -> None:
        self._to_agent, self._incoming = anyio.create_memory_object_stream[str](math.inf)
        self._outgoing, self._from_agent = anyio.create_memory_object_stream[str](buffer)

    async def receive(self) -> str:
        return await self._incoming.receive()

    async def send(self, text: str) -> None:
        await self._outgoing.send(text)

    def close(self) -> None:
        for each in (self._to_agent, self._incoming, self._outgoing, self._from_agent):
            each.close()

    def leave(self) -> None:
        """End the stream as a client that has left."""
        self._to_agent.close()

    def say(self, method: str, **params: object) -> None:
        """Send a call without waiting for its reply."""
        self.write(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))

    def write(self, text: str) -> None:
        self._to_agent.send_nowait(text)

    async def read(self) -> Any:
        with anyio.fail_after(_LIMIT_S):
            return json.loads(await self._from_agent.receive())

    async def result(self, method: str, **params: object) -> Any:
        self.say(method, **params)
        return (await self.read())["result"]

    async def error(self, method: str, **params: object) -> Any:
        self.say(method, **params)
        return (await self.read())["error"]


@pytest.mark.anyio
class ClientSessionsContract(ABC):
    """Contract of `ClientSessions`: inherit it and implement `lent`. New in 1.4."""

    @abstractmethod
    def lent(self) -> AbstractAsyncContextManager[SessionsUnderTest]:
        """Return a context that gives new sessions."""

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[tuple[SessionsUnderTest, anyio.abc.TaskGroup]]:
        with anyio.fail_after(4 * _LIMIT_S):
            async with self.lent() as lent, anyio.create_task_group() as tasks:
                yield lent, tasks
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _client(
        self, lent: SessionsUnderTest, user: PrincipalSource, *, buffer: float = math.inf
    ) -> AsyncIterator[_Stream]:
        """Serve a client of `user` while the context is open; the session must end with the client."""
        stream = _Stream(buffer)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, lent, stream, user)
                yield stream
                stream.leave()
        finally:
            stream.close()

    async def _serve(self, lent: SessionsUnderTest, stream: _Stream, user: PrincipalSource) -> None:
        with anyio.fail_after(4 * _LIMIT_S):
            await lent.sessions.serve(stream, user, address="lender:client")

    async def _end(self, lent: SessionsUnderTest, stream: _Stream, user: PrincipalSource) -> Exception | None:
        """Return the error with which `serve` ends; None if it just returns."""
        try:
            await self._serve(lent, stream, user)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error
        finally:
            stream.close()
        return None

    async def _until(self, condition: Callable[[], bool]) -> None:
        async def ask() -> bool:
            return condition()

        await eventually(ask, timeout_s=_LIMIT_S)

    async def test_a_client_calls_methods_until_it_leaves(self) -> None:
        async with self._lent() as (lent, _), self._client(lent, lent.user("viewer")) as client:
            assert await client.result("ping") == "pong"
            stats = await client.result("get_subscription_stats")
            assert stats["client_topics"] == []

    async def test_errors_are_those_of_the_port(self) -> None:
        async with self._lent() as (lent, _), self._client(lent, lent.user("viewer")) as client:
            assert (await client.error("none.such"))["code"] == -32601
            assert (await client.error("subscribe_events", topics=["none"]))["code"] == -32602
            client.write("{")
            assert (await client.read())["error"]["code"] == -32700
            client.write('[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"ping"},7]')
            replies = await client.read()
            assert [reply["id"] for reply in replies] == [1, None]

    async def test_a_user_can_do_what_its_role_may(self) -> None:
        async with self._lent() as (lent, _):
            async with self._client(lent, lent.sessions.own("viewer")) as client:
                assert (await client.error("lender.wait"))["code"] == -32002
            async with self._client(lent, lent.sessions.own("operator")) as client:
                client.say("lender.wait")
                await self._until(lambda: lent.waiting() == 1)
            await self._until(lambda: lent.waiting() == 0)

    async def test_the_plugin_itself_bears_its_name(self) -> None:
        async with self._lent() as (lent, _):
            own = lent.sessions.own("viewer")
            assert (own.user_id, own.role) == ("lender", "viewer")
            assert lent.sessions.own("viewer").credential == own.credential
            assert lent.sessions.own("admin").credential != own.credential
            with pytest.raises(PluginError):
                lent.sessions.own("owner")

    async def test_no_client_becomes_another_user(self) -> None:
        async with self._lent() as (lent, _):
            user = lent.sessions.own("viewer")
            async with self._client(lent, user) as client:
                for token in ("ck_key", user.credential):
                    error = await client.error("authenticate", auth_token=token)
                    assert (error["code"], error["data"]["reason"]) == (-32001, "user_is_fixed")
                assert (await client.error("lender.wait"))["code"] == -32002

    async def test_a_user_that_the_agent_has_not_given_is_refused(self) -> None:
        @dataclass(frozen=True)
        class Made:
            user_id: str = "admin"
            role: str = "admin"
            credential: str = "own:lender"

        async with self._lent() as (lent, _):
            assert isinstance(await self._end(lent, _Stream(), Made()), PluginError)

    async def test_events_have_numbers_and_reach_subscribers(self) -> None:
        async with self._lent() as (lent, _), self._client(lent, lent.sessions.own("viewer")) as client:
            subscribed = await client.result("subscribe_events", topics=["lender.counted"])
            for number in range(3):
                lent.publish(number)
            events = [await client.read() for _ in range(3)]
            assert [each["method"] for each in events] == ["lender.counted"] * 3
            assert [each["params"]["number"] for each in events] == [0, 1, 2]
            sequences = [each["params"]["sequence"] for each in events]
            assert subscribed["sequence"] < sequences[0] < sequences[1] < sequences[2]

    async def test_a_client_that_comes_again_gets_what_it_missed(self) -> None:
        async with self._lent() as (lent, _):
            user = lent.sessions.own("viewer")
            async with self._client(lent, user) as client:
                since = await client.result("subscribe_events", topics=["lender.counted"])
            lent.publish(1)
            lent.publish(2)
            async with self._client(lent, user) as client:
                place = {"boot_id": since["boot_id"], "sequence": since["sequence"]}
                client.say("subscribe_events", topics=["lender.counted"], replay_since=place)
                texts = [await client.read() for _ in range(3)]
            assert [each["params"]["number"] for each in texts if "params" in each] == [1, 2]

    async def test_a_client_that_does_not_read_delays_no_other_and_loses_only_events(self) -> None:
        async with self._lent() as (lent, _):
            user = lent.sessions.own("viewer")
            async with (
                self._client(lent, user, buffer=0) as stuck,
                self._client(lent, user) as quick,
            ):
                assert await stuck.result("subscribe_events", topics=["lender.counted"])
                assert await quick.result("subscribe_events", topics=["lender.counted"])
                for number in range(_MANY_EVENTS):
                    lent.publish(number)
                    assert (await quick.read())["params"]["number"] == number
                assert await quick.result("ping") == "pong"
                lost = 0
                while (event := await stuck.read())["params"].get("number") != _MANY_EVENTS - 1:
                    lost += event["params"]["count"] if event["method"] == "system.events_dropped" else 0
                assert lost > 0

    async def test_a_session_and_its_calls_end_with_the_credentials(self) -> None:
        async with self._lent() as (lent, tasks):
            user, stream = lent.user("operator"), _Stream()
            ended: list[Exception | None] = []

            async def serve() -> None:
                ended.append(await self._end(lent, stream, user))

            tasks.start_soon(serve)
            stream.say("lender.wait")
            await self._until(lambda: lent.waiting() == 1)
            await lent.revoke(user)
            await self._until(lambda: bool(ended))
            assert isinstance(ended[0], AuthenticationFailed)
            assert ended[0].reason == "credentials_revoked"
            assert lent.waiting() == 0
            again = await self._end(lent, _Stream(), user)
            assert isinstance(again, AuthenticationFailed)

    async def test_a_cancelled_session_ends_its_calls_and_subscriptions(self) -> None:
        async with self._lent() as (lent, _):
            stream = _Stream()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, lent, stream, lent.sessions.own("operator"))
                await stream.result("subscribe_events", topics=["lender.counted"])
                stream.say("lender.wait")
                await self._until(lambda: lent.waiting() == 1)
                tasks.cancel_scope.cancel()
            stream.close()
            assert lent.waiting() == 0
            async with self._client(lent, lent.sessions.own("viewer")) as client:
                stats = await client.result("get_subscription_stats")
            assert stats["global_stats"]["active_clients"] == 0

    async def test_a_session_is_among_the_subscribers(self) -> None:
        async with self._lent() as (lent, _), self._client(lent, lent.user("viewer")) as client:
            await client.result("subscribe_events", topics=["lender.counted"])
            stats = await client.result("get_subscription_stats")
            assert stats["global_stats"]["topic_counts"] == {"lender.counted": 1}

    async def test_a_client_that_takes_no_reply_ends_its_session(self) -> None:
        class Gone(_Stream):
            async def send(self, text: str) -> None:
                raise anyio.BrokenResourceError

        async with self._lent() as (lent, _):
            stream = Gone()
            stream.say("ping")
            assert await self._end(lent, stream, lent.sessions.own("viewer")) is None

    async def test_an_error_of_the_stream_ends_the_session_and_is_told(self) -> None:
        class Faulty(_Stream):
            async def receive(self) -> str:
                raise NotFound("The client is not known any more.", resource="client", id="client")

        async with self._lent() as (lent, _):
            assert isinstance(await self._end(lent, Faulty(), lent.sessions.own("viewer")), NotFound)

    async def test_a_message_above_the_limit_ends_the_session(self) -> None:
        async with self._lent() as (lent, _):
            stream = _Stream()
            stream.write('"' + "x" * (1 << 20) + '"')
            error = await self._end(lent, stream, lent.sessions.own("viewer"))
            assert getattr(error, "reason", None) == "message_too_large"

    async def test_a_refused_call_gets_a_reply_with_the_code(self) -> None:
        async with self._lent() as (lent, _):
            error = AuthenticationFailed("The key is unknown.", reason="unknown_key")
            for found, told in ((7, 7), ("a", "a"), (True, None), ({}, None), (1.5, None)):
                reply = json.loads(lent.sessions.error_reply({"id": found}, error))
                assert reply["id"] == told
                assert reply["error"]["code"] == -32001
                assert reply["error"]["data"]["reason"] == "unknown_key"
            assert json.loads(lent.sessions.error_reply({}, error))["id"] is None
