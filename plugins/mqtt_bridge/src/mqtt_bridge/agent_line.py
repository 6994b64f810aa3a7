"""Connection of the bridge's own session: calls that wait for their replies, and notifications."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json, to_json

from mqtt_bridge.link import CallRefused

__all__ = ("AgentLine",)


class _Error(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    code: int
    message: str = ""
    data: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class _Waiting:
    """Call without an answer yet; `at_once` takes the result before the next message is read."""

    at_once: Callable[[JsonValue], None] | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)
    result: JsonValue = None
    refused: CallRefused | None = None


class AgentLine:
    """One `ClientStream` between the bridge and the agent's session logic.

    `send` never waits, so the session has no reason to drop events for a slow reader.

    Args:
        notify: called with method and params of each notification, in order; must not raise.
    """

    def __init__(self, notify: Callable[[str, Mapping[str, JsonValue]], None]) -> None:
        self._notify = notify
        self._requests: deque[str] = deque()
        self._changed = anyio.Event()
        self._waiting: dict[int, _Waiting] = {}
        self._calls = 0
        self._has_ended = False

    async def receive(self) -> str:
        """Return the bridge's next request. Raises anyio.EndOfStream after `end`."""
        while not self._requests:
            if self._has_ended:
                raise anyio.EndOfStream
            self._changed = anyio.Event()
            await self._changed.wait()
        return self._requests.popleft()

    async def send(self, text: str) -> None:
        """Take a reply or a notification. Raises anyio.BrokenResourceError after `end`."""
        if self._has_ended:
            raise anyio.BrokenResourceError
        message = from_json(text)
        if "method" in message:
            self._notify(message["method"], message.get("params") or {})
        else:
            self._answer(message)

    async def call(
        self,
        method: str,
        params: Mapping[str, JsonValue],
        *,
        at_once: Callable[[JsonValue], None] | None = None,
    ) -> JsonValue:
        """Return the result of `method`. Raises CallRefused.

        Args:
            method: the method.
            params: its params.
            at_once: called with the result before any later notification; the caller's task may resume after some of
                these. Must not raise.
        """
        if self._has_ended:
            raise _ended(method)
        self._calls += 1
        number, waiting = self._calls, _Waiting(at_once)
        self._waiting[number] = waiting
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}
        self._requests.append(to_json(request).decode())
        self._changed.set()
        try:
            await waiting.answered.wait()
        finally:
            self._waiting.pop(number, None)
        if waiting.refused is not None:
            raise waiting.refused
        return waiting.result

    def end(self) -> None:
        """End the connection; calls without an answer raise CallRefused."""
        self._has_ended = True
        self._changed.set()
        for waiting in self._waiting.values():
            waiting.refused = _ended("The call")
            waiting.answered.set()

    def _answer(self, message: Mapping[str, Any]) -> None:
        waiting = self._waiting.get(message.get("id") or 0)
        if waiting is None:  # its caller was cancelled
            return
        if "error" in message:
            error = _Error.model_validate(message["error"])
            reason, details = error.data.get("reason", "error"), error.data.get("details", error.message)
            waiting.refused = CallRefused(str(details), code=error.code, reason=str(reason), data=error.data)
        else:
            waiting.result = message.get("result")
            if waiting.at_once is not None:
                waiting.at_once(waiting.result)
        waiting.answered.set()


def _ended(what: str) -> CallRefused:
    return CallRefused(
        f"{what} has no answer, as the bridge's session with the agent ended.", code=0, reason="session_ended"
    )
