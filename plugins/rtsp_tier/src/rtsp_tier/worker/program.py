"""Main loop of the worker: messages of the plugin to readers."""

import os
import select
import time
from collections.abc import Callable
from functools import partial

from rtsp_tier.messages import (
    TO_WORKER,
    Cancel,
    CloseReader,
    Configure,
    Decoder,
    Message,
    MessageError,
    OpenReader,
    Ping,
    Pong,
    Reason,
    TakeOnce,
    TakeResident,
)
from rtsp_tier.worker.address import Address
from rtsp_tier.worker.faults import StreamFailure
from rtsp_tier.worker.memory import resident_bytes
from rtsp_tier.worker.one_shot import take_once
from rtsp_tier.worker.outbox import Outbox
from rtsp_tier.worker.requests import Request, Requests
from rtsp_tier.worker.resident import ResidentReader
from rtsp_tier.worker.threads import Threads

__all__ = ("Program", "WorkerStuck")

_READ_BYTES = 64 << 10
#: Most one-shot readers at once. Each has a thread, a connection and a decoder.
_ONE_SHOTS = 16
#: Time beyond all limits of a stream after which a thread counts as stuck, for example in a name server's answer.
_GRACE_S = 15.0


class WorkerStuck(Exception):
    """A thread does not come back from the library, which only the end of the process helps."""


class Program:
    """Worker between two descriptors. Its thread never waits for a stream, so it answers `Ping` at any time.

    Args:
        source: descriptor of messages from the plugin.
        sink: descriptor of messages to it.
        grace_s: time beyond the limits of a stream after which its thread is stuck.
    """

    def __init__(self, source: int, sink: int, *, grace_s: float = _GRACE_S) -> None:
        self._source = source
        self._outbox = Outbox(sink)
        self._requests = Requests(self._outbox)
        self._threads = Threads()
        self._settings: Configure | None = None
        self._grace_s = grace_s
        self._readers: dict[int, ResidentReader] = {}
        self._closing: list[ResidentReader] = []
        self._one_shots: dict[int, tuple[Request, Address]] = {}

    def run(self) -> None:
        """Serve until the source ends.

        Raises:
            MessageError: the source is not a stream of messages, or `Configure` does not come first.
            OSError: the plugin has closed the sink.
            WorkerStuck: a thread hangs, which is noticed at a `Ping`.
        """
        messages = Decoder(TO_WORKER)
        try:
            while data := self._receive():
                for message in messages.feed(data):
                    self._handle(message)
        finally:
            for each in self._readers.values():
                each.close()
            self._threads.close()

    def _receive(self) -> bytes:
        """Return the next bytes from the plugin, none at the end; meanwhile answer requests that are overdue."""
        while True:
            deadline_s = self._requests.next_deadline_s()
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            if select.select([self._source], [], [], left_s)[0]:
                return os.read(self._source, _READ_BYTES)
            self._requests.expire(time.monotonic())

    def _handle(self, message: Message) -> None:
        if isinstance(message, Configure):
            self._settings = message
            return
        if self._settings is None:
            raise MessageError("Configure is not the first message.")
        match message:
            case OpenReader():
                self._open(message, self._settings)
            case CloseReader(reader=number):
                self._close(number)
            case TakeResident():
                self._take_resident(message)
            case TakeOnce():
                self._take_once(message, self._settings)
            case Cancel(request=number):
                self._requests.cancel(number)
            case Ping(number=number):
                self._check_threads(self._settings, time.monotonic())
                self._outbox.send(Pong(number, resident_bytes()))

    def _open(self, message: OpenReader, settings: Configure) -> None:
        self._close(message.reader)
        address = Address(message.url, message.user, message.password, message.interval_s)
        reader = ResidentReader(message.reader, address, settings, self._outbox, self._requests)
        self._readers[message.reader] = reader
        reader.start(self._threads.run)

    def _close(self, number: int) -> None:
        reader = self._readers.pop(number, None)
        if reader is not None:
            reader.close()
            self._closing.append(reader)

    def _check_threads(self, settings: Configure, now_s: float) -> None:
        """Raise WorkerStuck if a thread is out for longer than the limits of a stream allow."""
        self._closing = [each for each in self._closing if each.is_in_library]
        readers = (*self._readers.values(), *self._closing)
        overdue_s = [each.silent_s(now_s) - each.patience_s for each in readers]
        overdue_s += [
            now_s - request.deadline_s - address.limits(settings).patience_s
            for request, address in list(self._one_shots.values())
        ]
        if any(each_s > self._grace_s for each_s in overdue_s):
            raise WorkerStuck

    def _take_resident(self, message: TakeResident) -> None:
        request = Request(
            message.request,
            message.not_before_s,
            message.deadline_s,
            key_frame_is_enough=message.key_frame_is_enough,
            unsettled_from_s=message.unsettled_from_s,
        )
        self._requests.add(request)
        reader = self._readers.get(message.reader)
        if reader is None:
            self._requests.fail(request, StreamFailure(Reason.NO_READER, "The reader is not open."))
        else:
            reader.take(request)

    def _take_once(self, message: TakeOnce, settings: Configure) -> None:
        request = Request(
            message.request,
            message.not_before_s,
            message.deadline_s,
            unsettled_from_s=message.unsettled_from_s,
        )
        self._requests.add(request)
        if len(self._one_shots) >= _ONE_SHOTS:
            self._requests.fail(request, StreamFailure(Reason.BUSY, "Too many streams are being opened."))
            return
        address = Address(message.url, message.user, message.password, message.interval_s)
        self._one_shots[request.number] = request, address
        self._threads.run(partial(self._run_once, request, partial(take_once, request, address, settings)))

    def _run_once(self, request: Request, take: Callable[[Requests], None]) -> None:
        try:
            take(self._requests)
        finally:
            self._one_shots.pop(request.number, None)
