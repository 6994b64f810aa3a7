"""Pictures of coded video, by a reader of their own or by one that is kept open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import (
    NOT_ASKED,
    AgentError,
    CameraStreams,
    CapturedAtSource,
    CaptureRequest,
    Clock,
    Picture,
    PictureFormat,
    SettledBy,
    Settlement,
    first_of,
)
from rtsp_tier.decoder import DecoderClient, ReaderGone, Reading, VideoSource
from rtsp_tier.messages import Taken
from rtsp_tier.tiers.residents import Residents, ResidentsPolicy, View, Way

__all__ = ("CodedPictures",)


@dataclass
class _OpenReader:
    """Resident reader of one view of a camera."""

    number: int
    source: VideoSource


class CodedPictures:
    """Takes pictures of coded video that is there. `run` closes readers that are not used.

    Args:
        decoder: client of the worker process; its owner runs it.
        streams: the core's streams, to which each reader of a stream is reported while it is connected.
        policy: limits of the resident readers.
        clock: the agent's clock.
    """

    def __init__(
        self,
        decoder: DecoderClient,
        streams: CameraStreams,
        *,
        policy: ResidentsPolicy,
        clock: Clock,
    ) -> None:
        self._decoder = decoder
        self._streams = streams
        self._clock = clock
        self._residents = Residents(policy)
        self._readers: dict[View, _OpenReader] = {}
        self._busy: Counter[View] = Counter()
        self._changed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Close each reader some time after its last picture, sooner if nothing else uses its stream."""
        task_status.started()
        try:
            while True:
                self._changed = anyio.Event()
                await self._wait_due()
                for view in self._residents.due(self._clock.monotonic_s()):
                    await self._check(view)
        finally:
            for view in list(self._readers):
                self._close(view)

    async def take_resident(
        self, view: View, request: CaptureRequest, *, unsettled_from_s: float = 0.0
    ) -> Picture | None:
        """Take a picture with the resident reader of the view; None without one, or if it ends meanwhile.

        Raises:
            TierUnavailable, CaptureFailed: the reader has no such picture in time.
        """
        if (reader := self._readers.get(view)) is None:
            return None
        with self._use(view):
            try:
                taken = await self._decoder.take_resident(
                    reader.number, request, unsettled_from_s=unsettled_from_s
                )
            except ReaderGone:
                return None
            self._residents.photographed(view, self._clock.monotonic_s())
        return _picture(taken)

    async def take(
        self, view: View, source: VideoSource, request: CaptureRequest, *, unsettled_from_s: float = 0.0
    ) -> Picture:
        """Take a picture of video that is there, with the best reader for it.

        Args:
            view: the camera, and the way to its video.
            source: the video.
            request: limits of the picture.
            unsettled_from_s: time from which a picture of a camera that still adjusts its exposure will do.

        Raises:
            TierUnavailable, CaptureFailed: the video gives no such picture in time.
        """
        if self._is_ready(view, source):
            picture = await self.take_resident(view, request, unsettled_from_s=unsettled_from_s)
            if picture is not None:
                return picture
        with self._use(view):
            taken = await self._decoder.take_once(
                source, request, unsettled_from_s=unsettled_from_s, reading=self._reading(view)
            )
            self._residents.photographed(view, self._clock.monotonic_s())
        return _picture(taken)

    def _reading(self, view: View) -> Reading:
        """Return what counts a reader among those of the media server, which sees none of a frame socket."""
        return partial(self._streams.reading, view.camera) if view.way is Way.STREAM else nullcontext

    def _is_ready(self, view: View, source: VideoSource) -> bool:
        """Return True if the view has a resident reader of `source`; open one if it deserves it."""
        reader = self._readers.get(view)
        if reader is not None:
            if reader.source == source:
                return True
            self._close(view)
        admission = self._residents.admission(view, self._clock.monotonic_s(), busy=self._busy)
        if admission.instead_of is not None:
            self._close(admission.instead_of)
        if admission.is_admitted:
            self._open(view, source)
        return admission.is_admitted

    async def _check(self, view: View) -> None:
        if not self._is_unused(view):
            return
        may_stay = self._residents.may_stay(view, self._clock.monotonic_s())
        may_stay = may_stay and await self._has_other_users(view)
        if not self._is_unused(view):
            return
        if may_stay:
            self._residents.keep(view, self._clock.monotonic_s())
        else:
            self._close(view)

    def _is_unused(self, view: View) -> bool:
        """Return True if the camera's reader is due and idle. Both may change while the media server is asked."""
        now_s = self._clock.monotonic_s()
        if view not in self._residents.due(now_s):
            return False
        if view in self._busy:
            self._residents.in_use(view, now_s)
            return False
        return True

    async def _has_other_users(self, view: View) -> bool:
        """Return True if the camera's stream has other users: its publisher then reads the frame socket, too."""
        try:
            return await self._streams.has_other_users(view.camera)
        except AgentError:
            return False

    @contextmanager
    def _use(self, view: View) -> Iterator[None]:
        self._busy[view] += 1
        try:
            yield
        finally:
            self._busy[view] -= 1
            if not self._busy[view]:
                del self._busy[view]
            self._changed.set()

    async def _wait_due(self) -> None:
        """Return when a reader is due, or when one was opened or used."""
        due_s = self._residents.next_check_s()
        if due_s is None:
            await self._changed.wait()
            return
        pause_s = max(due_s - self._clock.monotonic_s(), 0.0)
        await first_of(self._changed.wait, partial(self._clock.sleep, pause_s))

    def _open(self, view: View, source: VideoSource) -> None:
        number = self._decoder.open_reader(
            source, lambda: self._ended(view, number), reading=self._reading(view)
        )
        self._readers[view] = _OpenReader(number, source)
        self._residents.opened(view, self._clock.monotonic_s())

    def _close(self, view: View) -> None:
        self._decoder.close_reader(self._readers[view].number)
        self._forget(view)

    def _ended(self, view: View, number: int) -> None:
        reader = self._readers.get(view)
        if reader is not None and reader.number == number:
            self._forget(view)

    def _forget(self, view: View) -> None:
        del self._readers[view]
        self._residents.closed(view)
        self._changed.set()


def _picture(taken: Taken) -> Picture:
    settlement = None
    if taken.settled_by is not None and taken.settled_after_s is not None:
        settlement = Settlement(SettledBy(taken.settled_by), taken.settled_after_s)
    return Picture(
        taken.data,
        PictureFormat.JPG,
        taken.width,
        taken.height,
        taken.captured_s,
        CapturedAtSource(taken.source),
        taken.is_settled,
        settlement,
    )
