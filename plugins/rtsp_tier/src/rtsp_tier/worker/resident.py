"""Reader that keeps a stream open and its newest group of pictures compressed, and decodes when asked."""

import time
from collections.abc import Callable
from threading import Condition

from rtsp_tier.messages import Configure, ReaderEnded, ReaderOpen, Reason
from rtsp_tier.worker.address import Address
from rtsp_tier.worker.faults import StreamFailure, not_open_in_time
from rtsp_tier.worker.group import Entry
from rtsp_tier.worker.live import LiveGroup
from rtsp_tier.worker.outbox import Outbox
from rtsp_tier.worker.picking import Picker
from rtsp_tier.worker.requests import Request, Requests
from rtsp_tier.worker.streams import Stream, opened

__all__ = ("ResidentReader",)

#: Time between two requests up to which the reader decodes each picture as it comes, so that the next request finds
#: the newest one decoded; also the time after the last request at which it stops.
_FOLLOW_S = 4.0


class ResidentReader:
    """Reader with two threads: one reads the stream, the other decodes and answers.

    So decoding delays no reading, and the arrival times are right.

    Args:
        number: number of the reader in messages.
        address: the stream.
        settings: limits.
        outbox: for the reports of the reader.
        requests: for the answers.
    """

    def __init__(
        self, number: int, address: Address, settings: Configure, outbox: Outbox, requests: Requests
    ) -> None:
        self.number = number
        self._address = address
        self._settings = settings
        self._outbox = outbox
        self._requests = requests
        self._live = LiveGroup(settings)
        self._changed = Condition()  # guards what follows
        self._picker: Picker | None = None
        self._waiting: list[Request] = []
        self._is_asked = self._is_following = False
        self._asked_s = self._follow_until_s = float("-inf")
        self._failure: StreamFailure | None = None
        self._is_closed = False
        self._reading_s: float | None = time.monotonic()  # last sign of life; None: the thread has ended
        self._working_s: float | None = None  # start of what the other thread decodes; None: nothing

    def start(self, run: Callable[[Callable[[], None]], None]) -> None:
        """Start the two threads with `run`."""
        run(self._read)
        run(self._decode)

    @property
    def has_ended(self) -> bool:
        return self._failure is not None

    @property
    def is_in_library(self) -> bool:
        """Return True while a thread reads or decodes, so it may hang there."""
        return self._reading_s is not None or self._working_s is not None

    def silent_s(self, now_s: float) -> float:
        """Return the longest time for which a thread has given no sign of life, 0 if none is in the library.

        Reading, the sign is that the stream was opened or that its next picture came; decoding, that a picture was fed.
        """
        working_s = self._working_s
        if working_s is not None and self._picker is not None:
            working_s = max(working_s, self._picker.fed_s)
        return max((now_s - each for each in (self._reading_s, working_s) if each is not None), default=0.0)

    @property
    def patience_s(self) -> float:
        """Longest time for which a thread may be silent while it waits for the stream."""
        return self._address.limits(self._settings).patience_s

    @property
    def decoded_pictures(self) -> int:
        """Number of pictures that were decoded so far."""
        return self._picker.decoded_pictures if self._picker is not None else 0

    def take(self, request: Request) -> None:
        """Answer `request` as soon as a picture is new enough, or with the failure that ended the reader."""
        now_s = time.monotonic()
        with self._changed:
            if now_s - self._asked_s <= _FOLLOW_S:
                self._follow_until_s = now_s + _FOLLOW_S
            self._asked_s = now_s
            failure = self._failure
            if failure is None:
                if self._picker is None:
                    request.why = not_open_in_time(is_socket=self._address.is_socket)
                self._waiting.append(request)
                self._is_asked = True
                self._changed.notify_all()
        if failure is not None:
            self._requests.fail(request, failure)

    def close(self) -> None:
        """Ask the reader to end, which it does at the next picture or when the stream's time-out passes."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _read(self) -> None:
        failure = StreamFailure(Reason.WORKER_FAILED, "The reader of the stream failed.")
        try:
            with opened(self._address, self._settings, limit_s=float("inf")) as stream:
                self._set_open(stream)
                for entry in stream.entries():
                    if not self._add(entry):
                        break
        except StreamFailure as ended:
            failure = ended
        finally:
            self._reading_s = None
            self._end(failure)

    def _set_open(self, stream: Stream) -> None:
        self._reading_s = time.monotonic()
        picker = Picker(
            stream.codec,
            stream.parameter_sets,
            self._live,
            self._settings,
            self._requests,
            is_socket=self._address.is_socket,
        )
        with self._changed:
            self._picker = picker
            is_closed = self._is_closed
            self._changed.notify_all()
        if not is_closed:
            self._outbox.send(ReaderOpen(self.number))

    def _add(self, entry: Entry) -> bool:
        """Keep a picture; return False if the reader is closed."""
        self._reading_s = time.monotonic()
        self._live.add(entry)
        with self._changed:
            if self._waiting or entry.arrival_s < self._follow_until_s:
                self._changed.notify_all()
            return not self._is_closed

    def _end(self, failure: StreamFailure) -> None:
        """Fail what waits and report the end, once."""
        with self._changed:
            is_first, self._failure = self._failure is None, self._failure or failure
            is_told = self._is_closed
            waiting, self._waiting = self._waiting, []
            self._is_closed = True
            self._changed.notify_all()
        for each in waiting:
            self._requests.fail(each, failure)
        if is_first and not is_told:
            self._outbox.send(ReaderEnded(self.number, failure.reason, failure.details))

    def _decode(self) -> None:
        failure = StreamFailure(Reason.WORKER_FAILED, "The decoder of the stream failed.")
        done: int | None = None
        try:
            while (picker := self._next_work(done)) is not None:
                done = self._work(picker)
                self._working_s = None
            failure = StreamFailure(Reason.STREAM_ENDED, "The reader was closed.")
        finally:
            self._working_s = None
            self._end(failure)

    def _next_work(self, done: int | None) -> Picker | None:
        """Wait for a request, for a picture after number `done` while following, or for the end of following.

        Return None when the reader has ended.
        """
        with self._changed:
            while not self._is_closed:
                left_s = self._follow_until_s - time.monotonic()
                if self._picker is not None and self._has_work(done, left_s):
                    self._is_asked = False
                    self._working_s = time.monotonic()
                    return self._picker
                self._changed.wait(max(left_s, 0.0) if self._is_following else None)
        return None

    def _has_work(self, done: int | None, left_s: float) -> bool:
        newest = self._live.newest
        is_new = newest is not None and newest.number != done
        is_over = self._is_following and left_s <= 0 and not self._waiting
        return self._is_asked or is_over or (is_new and bool(self._waiting or left_s > 0))

    def _work(self, picker: Picker) -> int | None:
        """Serve what waits, then follow the stream or stop decoding; return the number of the newest picture seen."""
        newest = self._live.newest
        with self._changed:
            waiting = list(self._waiting)
        served = [each for each in waiting if picker.serve(each)]
        with self._changed:
            self._waiting = [each for each in self._waiting if each not in served]
            self._is_following = time.monotonic() < self._follow_until_s
            is_active = self._is_following or bool(self._waiting)
        if is_active:
            picker.follow()
        else:
            picker.stop()
        return newest.number if newest is not None else None
