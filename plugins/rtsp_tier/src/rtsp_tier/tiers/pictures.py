"""Pictures of live streams, by a reader of their own or by one that is kept open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import (
    NOT_ASKED,
    AgentError,
    CameraId,
    CameraStreams,
    CapturedAtSource,
    CaptureRequest,
    Clock,
    LiveStream,
    Picture,
    PictureFormat,
    first_of,
)
from rtsp_tier.decoder import DecoderClient, ReaderGone
from rtsp_tier.messages import Taken
from rtsp_tier.tiers.residents import Residents, ResidentsPolicy

__all__ = ("StreamPictures",)


@dataclass
class _OpenReader:
    """Resident reader of one camera."""

    number: int
    stream: LiveStream


class StreamPictures:
    """Takes pictures of streams that are live. `run` closes readers that are not used.

    Args:
        decoder: client of the worker process; its owner runs it.
        streams: the core's streams, to which each reader is reported while it is connected.
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
        self._readers: dict[CameraId, _OpenReader] = {}
        self._busy: Counter[CameraId] = Counter()
        self._changed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Close each reader some time after its last picture, sooner if nothing else uses its stream."""
        task_status.started()
        try:
            while True:
                self._changed = anyio.Event()
                await self._wait_due()
                for camera in self._residents.due(self._clock.monotonic_s()):
                    await self._check(camera)
        finally:
            for camera in list(self._readers):
                self._close(camera)

    async def take_resident(self, camera: CameraId, request: CaptureRequest) -> Picture | None:
        """Take a picture with the camera's resident reader; None without one, or if it ends meanwhile.

        Raises:
            TierUnavailable, CaptureFailed: the reader has no such picture in time.
        """
        if (reader := self._readers.get(camera)) is None:
            return None
        with self._use(camera):
            try:
                taken = await self._decoder.take_resident(reader.number, request)
            except ReaderGone:
                return None
            self._residents.photographed(camera, self._clock.monotonic_s())
        return _picture(taken)

    async def take(self, camera: CameraId, stream: LiveStream, request: CaptureRequest) -> Picture:
        """Take a picture of a stream that is live, with the best reader for it.

        Raises:
            TierUnavailable, CaptureFailed: the stream gives no such picture in time.
        """
        if self._is_ready(camera, stream) and (picture := await self.take_resident(camera, request)):
            return picture
        with self._use(camera):
            reading = partial(self._streams.reading, camera)
            taken = await self._decoder.take_once(stream, request, reading=reading)
            self._residents.photographed(camera, self._clock.monotonic_s())
        return _picture(taken)

    def _is_ready(self, camera: CameraId, stream: LiveStream) -> bool:
        """Return True if the camera has a resident reader of `stream`; open one if it deserves it."""
        reader = self._readers.get(camera)
        if reader is not None:
            if (reader.stream.url, reader.stream.credentials) == (stream.url, stream.credentials):
                return True
            self._close(camera)
        admission = self._residents.admission(camera, self._clock.monotonic_s(), busy=self._busy)
        if admission.instead_of is not None:
            self._close(admission.instead_of)
        if admission.is_admitted:
            self._open(camera, stream)
        return admission.is_admitted

    async def _check(self, camera: CameraId) -> None:
        if not self._is_unused(camera):
            return
        may_stay = self._residents.may_stay(camera, self._clock.monotonic_s())
        may_stay = may_stay and await self._has_other_users(camera)
        if not self._is_unused(camera):
            return
        if may_stay:
            self._residents.keep(camera, self._clock.monotonic_s())
        else:
            self._close(camera)

    def _is_unused(self, camera: CameraId) -> bool:
        """Return True if the camera's reader is due and idle. Both may change while the media server is asked."""
        now_s = self._clock.monotonic_s()
        if camera not in self._residents.due(now_s):
            return False
        if camera in self._busy:
            self._residents.in_use(camera, now_s)
            return False
        return True

    async def _has_other_users(self, camera: CameraId) -> bool:
        try:
            return await self._streams.has_other_users(camera)
        except AgentError:
            return False

    @contextmanager
    def _use(self, camera: CameraId) -> Iterator[None]:
        self._busy[camera] += 1
        try:
            yield
        finally:
            self._busy[camera] -= 1
            if not self._busy[camera]:
                del self._busy[camera]
            self._changed.set()

    async def _wait_due(self) -> None:
        """Return when a reader is due, or when one was opened or used."""
        due_s = self._residents.next_check_s()
        if due_s is None:
            await self._changed.wait()
            return
        pause_s = max(due_s - self._clock.monotonic_s(), 0.0)
        await first_of(self._changed.wait, partial(self._clock.sleep, pause_s))

    def _open(self, camera: CameraId, stream: LiveStream) -> None:
        reading = partial(self._streams.reading, camera)
        number = self._decoder.open_reader(stream, lambda: self._ended(camera, number), reading=reading)
        self._readers[camera] = _OpenReader(number, stream)
        self._residents.opened(camera, self._clock.monotonic_s())

    def _close(self, camera: CameraId) -> None:
        self._decoder.close_reader(self._readers[camera].number)
        self._forget(camera)

    def _ended(self, camera: CameraId, number: int) -> None:
        reader = self._readers.get(camera)
        if reader is not None and reader.number == number:
            self._forget(camera)

    def _forget(self, camera: CameraId) -> None:
        del self._readers[camera]
        self._residents.closed(camera)
        self._changed.set()


def _picture(taken: Taken) -> Picture:
    return Picture(
        taken.data,
        PictureFormat.JPG,
        taken.width,
        taken.height,
        taken.captured_s,
        CapturedAtSource.ESTIMATED,
    )
