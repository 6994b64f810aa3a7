"""Open requests, each of which is answered once: by a reader, or at its deadline."""

from threading import Lock

from rtsp_tier.messages import Failed, Reason, StreamOpen, Taken
from rtsp_tier.worker.captured import Captured
from rtsp_tier.worker.faults import StreamFailure
from rtsp_tier.worker.outbox import Outbox
from rtsp_tier.worker.pictures import Still

__all__ = ("Request", "Requests")


class Request:
    """Request for a picture. A reader may say in `why` what delays it; the answer at the deadline repeats that."""

    __slots__ = ("deadline_s", "key_frame_is_enough", "not_before_s", "number", "unsettled_from_s", "why")

    def __init__(
        self,
        number: int,
        not_before_s: float,
        deadline_s: float,
        *,
        key_frame_is_enough: bool = True,
        unsettled_from_s: float = 0.0,
    ) -> None:
        self.number = number
        self.not_before_s = not_before_s
        self.deadline_s = deadline_s
        self.key_frame_is_enough = key_frame_is_enough
        self.unsettled_from_s = unsettled_from_s
        self.why = StreamFailure(Reason.TIMED_OUT, "The stream was not open in time.")


class Requests:
    """Register of the open requests, for any thread."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = Lock()
        self._open: dict[int, Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, request: Request) -> None:
        with self._lock:
            self._open[request.number] = request

    def is_open(self, request: Request) -> bool:
        return self._open.get(request.number) is request

    def cancel(self, number: int) -> None:
        """Forget a request. It gets no answer, unless that is under way."""
        with self._lock:
            self._open.pop(number, None)

    def opened(self, request: Request) -> None:
        """Report that the request's own reader has connected."""
        self._outbox.send(StreamOpen(request.number))

    def answer(self, request: Request, picture: Still, captured: Captured) -> None:
        """Send the picture if the request is still open."""
        if self._close(request):
            self._outbox.send(
                Taken(
                    request.number,
                    picture.width,
                    picture.height,
                    captured.captured_s,
                    picture.data,
                    captured.source,
                    captured.is_settled,
                    captured.settled_by,
                    captured.settled_after_s,
                )
            )

    def fail(self, request: Request, failure: StreamFailure) -> None:
        """Send the failure if the request is still open."""
        if self._close(request):
            self._outbox.send(Failed(request.number, failure.reason, failure.details, failure.suggestion))

    def expire(self, now_s: float) -> None:
        """Send the failure of each request whose deadline has passed."""
        for each in [each for each in list(self._open.values()) if each.deadline_s <= now_s]:
            self.fail(each, each.why)

    def next_deadline_s(self) -> float | None:
        return min((each.deadline_s for each in list(self._open.values())), default=None)

    def _close(self, request: Request) -> bool:
        with self._lock:
            if not self.is_open(request):
                return False
            del self._open[request.number]
            return True
