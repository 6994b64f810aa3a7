"""Stand-in for the streams that the core lends to plugins."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.lowlevel import checkpoint

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, NotFound, Unsupported
from agent_core.base.models import CameraId
from agent_core.base.tasks import at_the_end_of_the_task
from agent_core.plugin.context import LiveStream
from agent_core.plugin.rtsp import Credentials

__all__ = ("FakeStream", "FakeStreams")


@dataclass
class FakeStream:
    """Stream of one camera. A test may change the first four attributes at any time.

    Attributes:
        url: address to read.
        credentials: credentials to read with.
        problem: error of each `look` and `lease` from now on, for example an `agent_core.plugin.MediaServerError`.
        starts: event for which each `lease` waits; a stream starts at once by default.
        is_watched: True while `watch` makes the stream live: it has a user besides the plugin.
        leases: holders of the open leases, in the order in which they were opened.
    """

    url: str
    credentials: Credentials | None = None
    problem: AgentError | None = None
    starts: anyio.Event | None = None
    leases: list[str] = field(default_factory=list)
    is_watched: bool = False
    _since_s: float | None = None

    def seen(self) -> LiveStream:
        """Return the stream as it is now."""
        return LiveStream(self._since_s, self.url, self.credentials)

    def watch(self, now_s: float, *, watched: bool = True) -> None:
        """Make the stream live from `now_s` on as by a client who watches it, or stop that."""
        self.is_watched = watched
        self.update(now_s)

    def update(self, now_s: float) -> None:
        """Begin or end the stream, as leases and the client want it."""
        is_live = self.is_watched or bool(self.leases)
        if not is_live:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s


class FakeStreams:
    """`CameraStreams` without a media server; `CameraStreamsContract` holds it to the real one.

    A camera has a stream after `serve`. The stream is live while it is leased or `FakeStream.watch` makes it so; unlike
    a real one it ends at once after the last lease, and is always known.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[CameraId, FakeStream] = {}
        #: Number of calls of `look` per camera.
        self.looks: Counter[CameraId] = Counter()
        #: Number of readers per camera that the plugin counts as the agent's own now.
        self.readers: Counter[CameraId] = Counter()
        #: False: there is no media server, as in an agent without one.
        self.has_server = True

    def serve(self, camera: CameraId, url: str, credentials: Credentials | None = None) -> FakeStream:
        """Give the camera a stream at `url`, not live yet; return it for changes."""
        stream = self._streams[camera] = FakeStream(url, credentials)
        return stream

    def known(self, camera: CameraId) -> LiveStream | None:
        stream = self._streams.get(camera) if self.has_server else None
        return None if stream is None or stream.problem is not None else stream.seen()

    async def look(self, camera: CameraId) -> LiveStream:
        self.looks[camera] += 1
        await checkpoint()
        return self._require(camera).seen()

    async def has_other_users(self, camera: CameraId) -> bool:
        await checkpoint()
        return self._require(camera).is_watched

    @asynccontextmanager
    async def lease(self, camera: CameraId, holder: str) -> AsyncIterator[LiveStream]:
        await checkpoint()
        stream = self._require(camera)
        if stream.starts is not None:
            await stream.starts.wait()
        with at_the_end_of_the_task(lambda: self._release(stream, holder)):
            stream.leases.append(holder)
            stream.update(self._clock.monotonic_s())
            try:
                yield stream.seen()
            finally:
                self._release(stream, holder)

    @contextmanager
    def reading(self, camera: CameraId) -> Iterator[None]:
        self.readers[camera] += 1
        try:
            yield
        finally:
            self.readers[camera] -= 1

    def _release(self, stream: FakeStream, holder: str) -> None:
        if holder in stream.leases:
            stream.leases.remove(holder)
        stream.update(self._clock.monotonic_s())

    def _require(self, camera: CameraId) -> FakeStream:
        if not self.has_server:
            raise Unsupported("There is no media server.", feature="media_server", reason="no_media_server")
        stream = self._streams.get(camera)
        if stream is None:
            raise NotFound(f"There is no camera {camera}.", resource="camera", id=camera)
        if stream.problem is not None:
            raise stream.problem
        return stream
