"""Reader that is opened for one picture.

Apart from `program`, so that both kinds of readers are beside each other.
"""

import time

from rtsp_tier.messages import Configure, Reason
from rtsp_tier.worker.address import Address
from rtsp_tier.worker.faults import StreamFailure, not_open_in_time
from rtsp_tier.worker.live import LiveGroup
from rtsp_tier.worker.picking import Picker
from rtsp_tier.worker.requests import Request, Requests
from rtsp_tier.worker.streams import Stream, opened

__all__ = ("take_once",)


def take_once(request: Request, address: Address, settings: Configure, requests: Requests) -> None:
    """Open the stream, answer `request` with the first picture that is new enough, and close it.

    A cancelled request ends it at the next picture, or when the stream's time-out passes.
    """
    failure = StreamFailure(Reason.WORKER_FAILED, "The reader of the stream failed.")
    request.why = not_open_in_time(is_socket=address.is_socket)
    try:
        with opened(address, settings, limit_s=request.deadline_s - time.monotonic()) as stream:
            requests.opened(request)
            _take(request, stream, settings, requests, is_socket=address.is_socket)
    except StreamFailure as ended:
        failure = ended
    finally:
        requests.fail(request, failure)


def _take(
    request: Request, stream: Stream, settings: Configure, requests: Requests, *, is_socket: bool
) -> None:
    live = LiveGroup(settings)
    picker = Picker(stream.codec, stream.parameter_sets, live, settings, requests, is_socket=is_socket)
    for entry in stream.entries():
        live.add(entry)
        if picker.serve(request):
            return
