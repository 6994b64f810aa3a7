"""JSON-RPC of the caller, without I/O: encodes requests and matches replies to the waiting calls."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import anyio

from agent_core.client.errors import (
    AgentUnreachable,
    CallFailed,
    CallInterrupted,
    ClientError,
    ConnectionLost,
)

__all__ = ("JsonObject", "PendingCalls", "Reply", "decode", "encode")

#: Result of a method of the wire contract; `rpc.discover` has the schemas.
JsonObject = dict[str, Any]


def encode(call_id: int, method: str, params: Mapping[str, object]) -> str:
    """Return the text of a request. Raises TypeError or ValueError for params that JSON cannot express.

    A datetime, which must be aware, is sent in its ISO form.
    """
    request = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
    return json.dumps(request, allow_nan=False, separators=(",", ":"), default=_iso)


def _iso(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
    if value.tzinfo is None:
        raise ValueError("a datetime needs a time zone")
    return value.isoformat()


def decode(text: str | bytes) -> JsonObject:
    """Parse one message of the agent.

    Raises:
        AgentUnreachable: it is not JSON-RPC 2.0, so the server is not an agent.
    """
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise AgentUnreachable("The server at this address does not speak JSON-RPC.", reason="not_an_agent")
    return message


class Reply:
    """Answer to one call of `method`, to wait for."""

    def __init__(self, method: str) -> None:
        self.method = method
        self._arrived = anyio.Event()
        self._result: Any = None
        self._error: ClientError | None = None

    def resolve(self, result: object) -> None:
        self._result = result
        self._arrived.set()

    def fail(self, error: ClientError) -> None:
        self._error = error
        self._arrived.set()

    async def wait(self) -> Any:
        await self._arrived.wait()
        if self._error is not None:
            raise self._error
        return self._result


class PendingCalls:
    """Calls under way, by id."""

    def __init__(self) -> None:
        self._waiting: dict[int, Reply] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def expect(self, method: str) -> Iterator[tuple[int, Reply]]:
        """Yield a new id and the reply to it; a reply after the end of the context is dropped."""
        self._last_id += 1
        call_id, reply = self._last_id, Reply(method)
        self._waiting[call_id] = reply
        try:
            yield call_id, reply
        finally:
            del self._waiting[call_id]

    def settle(self, message: Mapping[str, Any]) -> None:
        """Hand a reply to its call; drop it if there is none, as after a cancellation."""
        call_id = message.get("id")
        reply = self._waiting.get(call_id) if type(call_id) is int else None
        if reply is None:
            return
        error = message.get("error")
        if error is None:
            reply.resolve(message.get("result"))
        else:
            reply.fail(_call_failed(error))

    def interrupt_all(self, error: ClientError) -> None:
        """End all calls because of `error`; after a break, each with a CallInterrupted of its own."""
        for reply in self._waiting.values():
            is_break = isinstance(error, ConnectionLost)
            reply.fail(CallInterrupted(reply.method, error) if is_break else error)


def _call_failed(error: Any) -> CallFailed:
    fields = error if isinstance(error, dict) else {}
    code, data = fields.get("code"), fields.get("data")
    return CallFailed(
        code if isinstance(code, int) else 0,
        str(fields.get("message", "")),
        data if isinstance(data, dict) else {},
    )
