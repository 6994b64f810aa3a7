"""Link of a client to its agent: a connection, and after a break the next one, if the program wants that."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent_core.client.connection import Dial, open_socket
from agent_core.client.errors import (
    AUTHENTICATION_FAILED,
    INVALID_PARAMS,
    PERMISSION_DENIED,
    AgentUnreachable,
    CallFailed,
    ClientError,
    ConnectionLost,
    NotConnected,
)
from agent_core.client.events import EVENTS_DROPPED, OF_CONNECTIONS, Event, Subscriptions
from agent_core.client.line import Line
from agent_core.client.login import Login
from agent_core.client.protocol import JsonObject
from agent_core.client.reconnect import Pauses, Reconnect
from agent_core.client.replay import Progress

__all__ = ("Link",)

_AUTH_EXPIRED = "system.auth_expired"
#: Codes with which the agent refuses credentials for good; others, such as too many attempts, pass.
_REFUSED = frozenset({AUTHENTICATION_FAILED, PERMISSION_DENIED, INVALID_PARAMS})


class Link:
    """Link to one agent. `run` owns the connections; any number of tasks may call meanwhile."""

    def __init__(
        self,
        dial: Dial,
        login: Login,
        subscriptions: Subscriptions,
        *,
        reconnect: Reconnect | None,
        observe: Callable[[str], None] | None,
    ) -> None:
        self._dial = dial
        self._login = login
        self._subscriptions = subscriptions
        self._reconnect = reconnect
        self._observe = observe
        self._pauses = Pauses(reconnect, random.random)
        self._progress = Progress()
        self._line: Line | None = None
        #: Start of the last connection; None if the last attempt failed.
        self._opened_at_s: float | None = None
        self._ended: ClientError | None = None
        #: Set while calls can be sent, and in the end; replaced at each break.
        self._open = anyio.Event()
        #: Events before the answer to a new subscription, which tells if the agent has started anew.
        self._early: list[Event] | None = None
        self._logins = 0
        self._logging_in = anyio.Lock()

    @property
    def is_open(self) -> bool:
        return self._line is not None

    @property
    def has_ended(self) -> bool:
        return self._ended is not None

    async def wait_open(self) -> None:
        """Wait until calls can be sent. Raises the error that has ended the link for good."""
        while self._line is None:
            if self._ended is not None:
                raise self._ended
            await self._open.wait()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Connect, and again after each break, until the policy gives up; the first connection counts as started.

        Raises:
            ClientError: the first connection fails.
        """
        self._opened_at_s = anyio.current_time()
        error = await self._connect(task_status.started)
        while True:
            connected_s = 0.0 if self._opened_at_s is None else anyio.current_time() - self._opened_at_s
            pause_s = None if _is_final(error) else self._pauses.after(connected_s, _asked_pause_s(error))
            if pause_s is None:
                self.end(_given_up(error))
                return
            await anyio.sleep(pause_s)
            self._opened_at_s = None
            try:
                error = await self._connect(self._note_opened)
            except ClientError as failed:
                error = failed

    def _note_opened(self) -> None:
        self._opened_at_s = anyio.current_time()

    def end(self, error: ClientError) -> None:
        """End all calls and streams, also later ones, with `error`; the first error counts."""
        if self._ended is None:
            self._ended = error
            self._open.set()
            if self._line is not None:
                self._line.end(error)
            self._line = None
            self._subscriptions.end(error)

    async def call(self, method: str, params: JsonObject, *, reads: bool) -> Any:
        """Return the result of `method`; see `AgentClient.call`. `reads`: its answer is its only effect."""
        repeats = reads and self._reconnect is not None and self._reconnect.repeat_reads
        while True:
            logins = self._logins
            try:
                return await self._usable().call(method, params)
            except ConnectionLost:
                if not repeats or self._ended is not None:
                    raise
                await self.wait_open()
            except CallFailed as error:
                if error.code != AUTHENTICATION_FAILED or not self._login.is_renewable:
                    raise
                # The agent has not carried out the call, whatever it does.
                await self._log_in_again(logins)

    async def authenticate(self, token: str) -> Any:
        """Log in with `token`, from now on, and return the agent's answer. Raises as `call`."""
        line = self._usable()
        answer = await line.call("authenticate", {"auth_token": token})
        self._login.replace(token)
        self._logins += 1
        await self._restore(line)
        return answer

    def note_subscription(self, answer: object) -> int:
        """Note the answer of `subscribe_events`; return the number of the newest event before the subscription."""
        return self._progress.subscribed(answer)

    def _usable(self) -> Line:
        if self._ended is not None:
            raise self._ended
        if self._line is None:
            raise NotConnected
        return self._line

    async def _connect(self, opened: Callable[[], None]) -> ClientError:
        """Connect and log in, call `opened`, and return why the connection has ended. Raises what prevents it."""
        failure: ClientError | None = None
        ended: list[ClientError] = []
        async with open_socket(self._dial) as socket, anyio.create_task_group() as tasks:
            line = Line(socket, self._observe, partial(self._notify, tasks))
            tasks.start_soon(self._receive, line, ended)
            try:
                await self._introduce(line)
                self._line = line
                self._open.set()
                opened()
                await line.wait_ended()
            except ClientError as error:
                failure = error
            finally:
                self._line = None
                line.end(ConnectionLost("This client has been closed.", reason="closed"))
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return ended[0]

    async def _receive(self, line: Line, ended: list[ClientError]) -> None:
        error = await line.receive()
        ended.append(error)
        if self._line is line:
            self._line = None
            if self._reconnect is None:
                self.end(error)
            else:
                self._open = anyio.Event()
        line.end(error)

    async def _introduce(self, line: Line) -> None:
        """Log in and subscribe again. Raises TokenUnavailable, CallFailed, AgentUnreachable."""
        token = await self._login.fetch()
        with anyio.move_on_after(self._dial.connect_timeout_s):
            if token is not None:
                await line.call("authenticate", {"auth_token": token})
            self._logins += 1
            await self._restore(line)
            return
        raise AgentUnreachable("The agent accepts connections but does not answer.", reason="timeout")

    async def _log_in_again(self, logins: int) -> None:
        """Log in with a new token, unless that was done since the login with the number `logins`."""
        async with self._logging_in:
            if self._line is not None and self._logins == logins:
                await self._introduce(self._line)

    async def _renew(self, expired: Event) -> None:
        """Log in again because the credentials have expired; tell the program if that fails."""
        try:
            await self._log_in_again(self._logins)
        except ConnectionLost:
            return
        except ClientError:
            self._offer(expired)

    async def _restore(self, line: Line) -> None:
        """Subscribe again to what the streams want, and to what they have missed."""
        topics, device = self._subscriptions.all_wanted()
        if not topics:
            return
        missed = self._progress.request(self._subscriptions.begins_after)
        filters: JsonObject = {"filters": {"device": device}} if device else {}
        self._early = []
        try:
            answer = await self._subscribe(line, topics, {**filters, **missed})
            early = self._early
        finally:
            self._early = None
        if self._progress.restored(answer):
            self._subscriptions.begin_anew()
        if not missed:
            self._offer(Event(EVENTS_DROPPED, {"count": 0, "reason": "not_kept"}))
        for event in early:
            self._offer(event)

    async def _subscribe(self, line: Line, topics: list[str], more: JsonObject) -> object:
        """Subscribe to all topics in one call, for their order; end the streams of a topic that does not exist any more."""
        try:
            return await line.call("subscribe_events", {"topics": topics, **more})
        except CallFailed as error:
            if error.code != INVALID_PARAMS:
                raise
        answer: object = None
        for topic in topics:
            try:
                answer = await line.call("subscribe_events", {"topics": [topic], **more})
            except CallFailed as error:
                self._subscriptions.refuse(topic, error)
        return answer

    def _notify(self, tasks: TaskGroup, event: Event) -> None:
        if event.topic == _AUTH_EXPIRED and self._login.is_renewable:
            tasks.start_soon(self._renew, event)
        elif self._early is not None:
            self._early.append(event)
        else:
            self._offer(event)

    def _offer(self, event: Event) -> None:
        if event.topic == EVENTS_DROPPED:
            self._progress.lost(event)
        if event.topic in OF_CONNECTIONS or self._progress.is_new(event):
            self._subscriptions.offer(event)


def _is_final(error: ClientError) -> bool:
    """Return True if another attempt with the same credentials would fail too."""
    return isinstance(error, CallFailed) and error.code in _REFUSED


def _asked_pause_s(error: ClientError) -> float:
    """Return the pause that the agent has asked for."""
    asked_ms = error.data.get("retry_after_ms") if isinstance(error, CallFailed) else None
    return asked_ms / 1000 if isinstance(asked_ms, int | float) else 0.0


def _given_up(error: ClientError) -> ClientError:
    if isinstance(error, ConnectionLost | CallFailed):
        return error
    final = ConnectionLost(error.details, reason=error.reason, suggestion=error.suggestion)
    final.__cause__ = error
    return final
