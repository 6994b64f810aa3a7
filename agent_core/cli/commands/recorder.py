"""Recording from start to end, for `record start --wait`."""

import argparse
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.cli.access import renew
from agent_core.cli.output import Progress, bit_rate, duration, one_line, size
from agent_core.client import AgentClient, CallFailed, EventStream

__all__ = ("Recorder", "in_two_steps")

_TOPIC = "recording_status_update"
#: Period of status queries without an event.
_LOOK_PERIOD_S = 1.0


@dataclass
class Recorder:
    """Starts a recording with `params` of `start_recording`, and waits until it has stopped."""

    agent: AgentClient
    arguments: argparse.Namespace
    params: Mapping[str, object]
    progress: Progress

    async def record(self, first: anyio.CancelScope) -> Any:
        """Record, and return the recording's info; None if it was stopped before it started.

        Cancelling `first` stops the recording.

        Raises:
            CallFailed: it could not be started, got no picture, or was deleted meanwhile.
        """
        async with self.agent.subscribe([_TOPIC], self.arguments.camera) as events:
            info = None
            try:
                with first:
                    info = await self._until_stopped(events)
                return info or await self._stop()
            finally:
                self.progress.clear()

    async def _until_stopped(self, events: EventStream) -> Any:
        self.progress.show(f"{self.arguments.camera}: waiting for the first picture")
        started = await self.agent.call("start_recording", **self.params, wait=True)
        while True:
            info = await self._look(started["filename"])
            if info["complete"]:
                return info
            self.progress.show(_summary(info))
            with anyio.move_on_after(_LOOK_PERIOD_S):
                await anext(events)

    async def _look(self, filename: str) -> Any:
        return await self._call("get_recording_info", filename=filename)

    async def _stop(self) -> Any:
        try:
            stopped = await self._call("stop_recording", device=self.arguments.camera)
        except CallFailed as error:
            if error.reason != "not_recording":
                raise
            return None
        if not stopped["segments"]:
            return stopped  # a recording without media is not kept
        return await self._look(stopped["filename"])

    async def _call(self, method: str, **params: object) -> Any:
        try:
            return await self.agent.call(method, **params)
        except CallFailed as error:
            if error.reason != "token_expired":
                raise
        await renew(self.agent, self.arguments)
        return await self.agent.call(method, **params)


def _summary(info: Any) -> str:
    seconds, size_bytes = info["duration"], info["file_size"]
    words = [duration(seconds), size(size_bytes), bit_rate(size_bytes, seconds)]
    if info.get("reason"):
        words.append(f"no picture: {info['reason']}")
    return one_line(f"{info['filename']}: {', '.join(words)}")


T = TypeVar("T")


async def in_two_steps(work: Callable[[anyio.CancelScope], Awaitable[T]]) -> T | None:
    """Run `work(first)`: the first SIGINT or SIGTERM cancels the scope `first`, the second one all of `work`.

    Returns the result of `work`; None after the second signal. An exception of `work` is raised as it is, not in a
    group.
    """
    first = anyio.CancelScope()
    result: T | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_listen, first, tasks.cancel_scope)
        try:
            result = await work(first)
        except Exception as error:  # noqa: BLE001 - raised again below, outside the task group, which would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


async def _listen(
    first: anyio.CancelScope,
    everything: anyio.CancelScope,
    *,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if first.cancel_called:
                everything.cancel()
            first.cancel()
