"""One task that sends new events to all sessions whose peers take them at once."""

import logging
from collections import OrderedDict
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

__all__ = ("Courier", "Recipient")

_LOG = logging.getLogger("camera_agent.rpc")
#: Recipients served in a row before other tasks get a turn.
_TURN = 64


class Recipient(Protocol):
    """Session with its own task for events that cannot be sent at once."""

    def deliver_now(self) -> None:
        """Send the events that wait; leave to the session's own task what its peer does not take at once."""
        ...

    def deliver_later(self) -> None:
        """Leave the events that wait to the session's own task."""
        ...

    def end(self) -> None:
        """End the session: an event could not be delivered because of a bug."""
        ...


class Courier:
    """Sender of new events. For a thousand sessions, that saves a thousand changes of task per event.

    While `run` does not run, each session's own task does it all.
    """

    def __init__(self) -> None:
        #: In the order of their calls; each is there once, however many events wait for it.
        self._waiting: OrderedDict[Recipient, None] = OrderedDict()
        self._called = anyio.Event()
        self._is_running = False

    def call(self, recipient: Recipient) -> None:
        """Have `recipient` served soon: an event waits for it. Costs the publisher next to nothing."""
        if self._is_running:
            self._waiting[recipient] = None
            self._called.set()
        else:
            recipient.deliver_later()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve recipients until cancelled; those called before that are served nevertheless."""
        self._is_running = True
        task_status.started()
        try:
            while True:
                for _ in range(min(_TURN, len(self._waiting))):
                    self._serve_next()
                if self._waiting:
                    await checkpoint()
                else:
                    self._called = anyio.Event()
                    await self._called.wait()
        finally:
            self._is_running = False
            while self._waiting:
                self._serve_next()

    def _serve_next(self) -> None:
        recipient, _ = self._waiting.popitem(last=False)
        try:
            recipient.deliver_now()
        except Exception:  # noqa: BLE001 - a fault of one session must not keep events from the others
            _LOG.exception("cannot deliver an event; the connection ends")
            recipient.end()
