"""Choice of the picture that satisfies a request at the least work."""

import time

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.decoding import Decoded, GroupDecoder
from rtsp_tier.worker.faults import StreamFailure
from rtsp_tier.worker.group import Entry
from rtsp_tier.worker.live import LiveGroup
from rtsp_tier.worker.pictures import Still, still
from rtsp_tier.worker.requests import Request, Requests

__all__ = ("Picker",)


class Picker:
    """Decoder of a stream and its newest picture, for one thread.

    Args:
        codec: libav's name of the codec.
        parameter_sets: those of the stream's description.
        live: the stream's newest group.
        settings: limits.
        requests: for the answers.
        is_socket: the stream is a camera's frame socket.
    """

    def __init__(
        self,
        codec: str,
        parameter_sets: bytes,
        live: LiveGroup,
        settings: Configure,
        requests: Requests,
        *,
        is_socket: bool = False,
    ) -> None:
        self._codec = codec
        self._is_socket = is_socket
        self._decoder = GroupDecoder(codec, parameter_sets)
        self._live = live
        self._quality = settings.jpeg_quality
        self._requests = requests
        self._newest: Decoded | None = None
        self._encoded: tuple[int, Still] | None = None
        self.fed_s = float("-inf")  # when the decoder was fed last, for who watches this thread

    @property
    def decoded_pictures(self) -> int:
        """Number of pictures decoded so far."""
        return self._decoder.decoded_pictures

    def serve(self, request: Request) -> bool:
        """Answer `request` if a picture is new enough; return False if a later picture must come first.

        A packet that is read while a picture is decoded may show that the picture waited, so the time is judged last.
        """
        if not self._requests.is_open(request):
            return True
        found = self._cheapest(request) or self._latest(request)
        if found is not None:
            picture, captured = self._still(found), self._live.captured(found.entry)
            if captured.captured_s >= request.not_before_s:
                self._requests.answer(request, picture, captured)
                return True
        request.why = self._why()
        return False

    def follow(self) -> None:
        """Decode all pictures that have come."""
        entries = self._live.after(self._decoder.last)
        for each in entries or []:
            self.fed_s = time.monotonic()
            found = self._decoder.feed(each)
            self._newest = found[-1] if found else self._newest

    def stop(self) -> None:
        """Release the decoder's memory, and the newest picture."""
        self._decoder.stop()
        self._newest = self._encoded = None

    def _cheapest(self, request: Request) -> Decoded | None:
        """Return a picture that needs no decoding of more than a key frame; None if none is new enough."""
        if not request.key_frame_is_enough:
            return None
        if self._newest is not None and self._serves(self._newest.entry, request):
            return self._newest
        key, last = self._live.key, self._decoder.last
        if key is None or (last is not None and last >= key.number):
            return None
        return self._decoder.only(key) if self._serves(key, request) else None

    def _latest(self, request: Request) -> Decoded | None:
        self.follow()
        newest = self._newest
        return newest if newest is not None and self._serves(newest.entry, request) else None

    def _serves(self, entry: Entry, request: Request) -> bool:
        """Return True if the picture is new enough, and the camera's exposure had settled or cannot be waited for."""
        captured = self._live.captured(entry)
        is_settled = captured.is_settled or time.monotonic() >= request.unsettled_from_s
        return is_settled and captured.captured_s >= request.not_before_s

    def _still(self, decoded: Decoded) -> Still:
        if self._encoded is None or self._encoded[0] != decoded.entry.number:
            self._encoded = (decoded.entry.number, still(decoded, self._codec, self._quality))
        return self._encoded[1]

    def _why(self) -> StreamFailure:
        """Return the failure of a request that is still waiting when its deadline passes."""
        reason, details = Reason.TIMED_OUT, "No picture that is new enough came in time."
        if self._live.key is None:
            details = "No key frame came in time."
        elif self._decoder.is_damaged:
            reason, details = (
                Reason.STREAM_DAMAGED,
                "The pictures that came in time are damaged or incomplete.",
            )
        return StreamFailure(reason, details, is_socket=self._is_socket)
