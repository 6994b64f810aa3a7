"""Streams as the agent lends them to plugins, to read them."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from itertools import count

from agent_core.base.clock import Clock
from agent_core.base.errors import MediaServerUnavailable
from agent_core.base.models import CameraId
from agent_core.base.tasks import at_the_end_of_the_task
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.breaker import BreakerState
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import LiveStream
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.leases import StreamLeases

__all__ = ("LentStreams", "PluginStreams", "StreamLender")

_log = logging.getLogger("camera_agent.streams")


class StreamLender:
    """Answers where a camera's stream is read and whether it is live, and leases it. Owns no tasks.

    Args:
        link: the media server.
        streams: the leases.
        paths: the cameras' paths at the server.
    """

    def __init__(self, link: ServerLink, streams: StreamLeases, paths: CameraPaths, *, clock: Clock) -> None:
        self._link = link
        self._streams = streams
        self._paths = paths
        self._clock = clock
        self._leases = count(1)

    @property
    def server_state(self) -> ServerState:
        """State of the media server, without I/O."""
        return self._link.state

    def known(self, camera: CameraId) -> LiveStream | None:
        """Return what was last seen of the stream; see `CameraStreams.known`."""
        is_lost = self._link.breaker.state is not BreakerState.CLOSED
        if self._link.current is None or is_lost or camera not in self._paths.ensured:
            return None
        return self._stream(camera)

    async def look(self, camera: CameraId) -> LiveStream:
        """Ask the media server; see `CameraStreams.look`."""
        found = self._paths.camera(camera)
        path = await self._paths.runtime(camera)
        if path is None or not path.live:
            self._paths.plan.require_streamable(found)
            return self._at(camera, None)
        return self._stream(camera)

    async def has_users(self, camera: CameraId, *, besides: str) -> bool:
        """Ask if the stream has viewers or leases; see `CameraStreams.has_other_users`.

        Args:
            camera: the camera.
            besides: beginning of the holders whose leases do not count.
        """
        path = await self._paths.runtime(self._paths.camera(camera).id)
        others = [each for each in self._streams.holders(camera) if not each.startswith(besides)]
        return bool(others) or self._paths.viewers(path) > 0

    @asynccontextmanager
    async def lease(self, camera: CameraId, holder: str) -> AsyncIterator[LiveStream]:
        """Keep the stream live while the context is open; see `CameraStreams.lease`.

        Args:
            camera: the camera.
            holder: name in the log; the lease gets a number, so that it is not shared with another one.
        """
        found = self._paths.camera(camera)
        if self._streams.live_since_s(camera) is None:
            await self._paths.ensure(found)  # its errors come before a hold that would be retried
        if not self._streams.is_running:
            raise MediaServerUnavailable("The agent is ending.", reason="connection_lost")
        name = f"{holder} {next(self._leases)}"

        def left() -> None:
            _log.warning("%s has left its lease on %s open; it ends with its task", holder, camera)
            self._streams.release(camera, name)

        self._streams.acquire(camera, name)
        try:
            with at_the_end_of_the_task(left):
                await self._streams.wait_live(camera)
                yield self._stream(camera)
        finally:
            self._streams.release(camera, name)

    def reading(self, camera: CameraId) -> AbstractContextManager[None]:
        """Count a reader as the agent's own while the context is open; see `CameraStreams.reading`."""
        return self._paths.own_reader(camera)

    def _stream(self, camera: CameraId) -> LiveStream:
        held_s = self._streams.live_since_s(camera)
        seen_s = self._paths.sightings.since_s(camera, self._clock.monotonic_s())
        return self._at(camera, min((each for each in (held_s, seen_s) if each is not None), default=None))

    def _at(self, camera: CameraId, since_s: float | None) -> LiveStream:
        url, credentials = self._link.require().endpoints.reading(camera)
        return LiveStream(since_s, url, credentials)


class LentStreams:
    """Streams of the cameras for all plugins and for the planner of snapshots.

    They receive theirs before the parts that serve them exist.
    """

    def __init__(self) -> None:
        self._lender: StreamLender | None = None

    def open(self, lender: StreamLender) -> None:
        """Serve from `lender` from now on."""
        self._lender = lender

    @property
    def server_state(self) -> ServerState:
        """State of the media server, without I/O; ABSENT before `open`."""
        return self._lender.server_state if self._lender else ServerState.ABSENT

    def known(self, camera: CameraId) -> LiveStream | None:
        """Return what was last seen of the stream, without I/O; None before `open`."""
        return self._lender.known(camera) if self._lender else None

    def to(self, plugin: str) -> "PluginStreams":
        """Return the streams of one plugin."""
        return PluginStreams(plugin, lambda: self._lender)


class PluginStreams:
    """`CameraStreams` of one plugin, whose name its leases bear.

    Args:
        plugin: name of the plugin.
        lender: returns the lender; None before the agent's parts are made.
    """

    def __init__(self, plugin: str, lender: Callable[[], StreamLender | None]) -> None:
        self._plugin = plugin
        self._lender = lender

    def known(self, camera: CameraId) -> LiveStream | None:
        """Return what was last seen of the stream, without I/O."""
        lender = self._lender()
        return lender.known(camera) if lender else None

    async def look(self, camera: CameraId) -> LiveStream:
        """Ask the media server for the stream's state now."""
        return await self._require().look(camera)

    async def has_other_users(self, camera: CameraId) -> bool:
        """Ask if the stream has viewers, or leases that are not the plugin's."""
        return await self._require().has_users(camera, besides=self._holder(""))

    @asynccontextmanager
    async def lease(self, camera: CameraId, holder: str) -> AsyncIterator[LiveStream]:
        """Start the stream, wait until it is live, and keep it live while the context is open."""
        async with self._require().lease(camera, self._holder(holder)) as stream:
            yield stream

    def _holder(self, purpose: str) -> str:
        return f"plugin {self._plugin}: {purpose}"

    def reading(self, camera: CameraId) -> AbstractContextManager[None]:
        """Count one reader as the agent's own while the context is open."""
        return self._require().reading(camera)

    def _require(self) -> StreamLender:
        lender = self._lender()
        if lender is None:
            raise MediaServerUnavailable(
                "The agent is still starting.",
                reason="media_server_starting",
                suggestion="Use streams in a provider, not in a hook.",
            )
        return lender
