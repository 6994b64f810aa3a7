"""One connection to an agent: its calls and its notifications."""

from collections.abc import Callable
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent_core.client.connection import explain_closed
from agent_core.client.errors import AgentUnreachable, CallInterrupted, ClientError
from agent_core.client.events import Event
from agent_core.client.protocol import JsonObject, PendingCalls, decode, encode

__all__ = ("Line",)


class Line:
    """Calls and notifications of one connection.

    Args:
        socket: the connection, which the owner closes.
        observe: called with the text of every received message.
        notify: called with every notification.
    """

    def __init__(
        self,
        socket: ClientConnection,
        observe: Callable[[str], None] | None,
        notify: Callable[[Event], None],
    ) -> None:
        self._socket = socket
        self._observe = observe
        self._notify = notify
        self._calls = PendingCalls()
        self._error: ClientError | None = None
        self._ended = anyio.Event()

    async def call(self, method: str, params: JsonObject) -> Any:
        """Return the result of `method`. Cancelling drops only the reply, not the call.

        Raises:
            CallFailed: the agent answered with an error.
            CallInterrupted: the connection ended before the reply arrived.
        """
        with self._calls.expect(method) as (call_id, reply):
            try:
                await self._socket.send(encode(call_id, method, params))
            except ConnectionClosed as error:
                await self._ended.wait()  # `receive` explains the end
                raise CallInterrupted(method, self._error or explain_closed(error)) from error
            return await reply.wait()

    async def receive(self) -> ClientError:
        """Receive until the connection ends; return why. The owner calls `end` then."""
        try:
            while True:
                text = await self._socket.recv()
                if self._observe is not None and isinstance(text, str):
                    self._observe(text)
                self._dispatch(decode(text))
        except ConnectionClosed as error:
            return explain_closed(error)
        except AgentUnreachable as error:
            return error

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def end(self, error: ClientError) -> None:
        """End all calls with `error`; the first error counts."""
        if self._error is None:
            self._error = error
            self._ended.set()
            self._calls.interrupt_all(error)

    def _dispatch(self, message: JsonObject) -> None:
        method, params = message.get("method"), message.get("params")
        if isinstance(method, str):
            self._notify(Event(method, params if isinstance(params, dict) else {}))
        else:
            self._calls.settle(message)
