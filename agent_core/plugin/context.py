"""Protocols of the objects that the core lends to plugins. They are small, so that a test can implement them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent_core.base.clock import Clock
from agent_core.base.controls import ChangedControls
from agent_core.base.models import Camera, CameraId, DetectedCamera
from agent_core.plugin.sessions import ClientSessions

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = (
    "AgentContext",
    "CameraDirectory",
    "CameraRedirects",
    "CameraReport",
    "CameraStreams",
    "EventPublisher",
    "LiveStream",
)


class CameraReport(Protocol):
    """Receiver of a source's reports. Calls never wait, may come in any order and may be repeated."""

    def connected(self, camera: DetectedCamera) -> None:
        """Report that `camera` is present or has changed. `camera.key` identifies it within the source."""
        ...

    def disconnected(self, key: str, reason: str) -> None:
        """Report that the camera is gone. `reason` is a sentence for the operator, without device paths."""
        ...

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        """Report that the camera is present but does not work, until `connected` is called.

        Args:
            key: the camera's key.
            reason: a sentence for the operator, without device paths.
            camera: description of the camera as it is now. With it the core lists also a camera that was never
                reported as connected. Without a `media_input` the camera is not opened, and loses its path at the
                media server as soon as that is not live.
        """
        ...

    def removed(self, key: str, reason: str) -> None:
        """Report that the source gives the camera up: an operator has removed it. New in 1.2.

        The core stops its recording, ends its stream and lists it no more. Its id stays for a camera with the same
        fingerprint, and its recordings and snapshots stay. `reason` is as for `disconnected`.
        """
        ...

    def controls(self, key: str, changed: ChangedControls) -> None:
        """Report the values of a camera's controls as they were last read. New in 1.3.

        `changed.outcomes` are those of kept values that were set again, or could not be; clients are told of each. A
        change of values alone has no outcomes. Not for the result of `ControlPanel.change`, which the core has already.
        """
        ...


class CameraDirectory(Protocol):
    """Cameras known to the agent."""

    def list(self) -> Sequence[Camera]: ...


class CameraRedirects(Protocol):
    """Judgement of the cameras' sources on redirects, for media servers in plugins."""

    async def admit(self, path: str, url: str) -> str | None:
        """Return the URL that the media server may open in place of `url`, to which the camera of a path redirects.

        Ask before the connection is made. The address in the URL is fixed, and it has no user and no password.

        Args:
            path: name of the path at the media server, which is the camera's id.
            url: URL that the camera names.

        Returns:
            The URL; None if the path is no camera's, or the camera's source judges no redirects. The media server then
            decides by itself.

        Raises:
            AgentError: it must not be opened. `details` is a sentence for the log and names no secret.
        """
        ...


class EventPublisher(Protocol):
    """Publisher of one plugin's own events."""

    def publish(self, topic: str, payload: object) -> None:
        """Publish an event to the clients that subscribed to `topic`. Never waits.

        Args:
            topic: one of the plugin's `topics`.
            payload: a frozen dataclass instance, a mapping or a pydantic model. Its fields are the event's params;
                filters by camera compare the field `device`. The agent adds the field `sequence`, the event's number.

        Raises:
            PluginError: the plugin does not declare the topic, or the payload has no fields, or has a field `sequence`.
        """
        ...


@dataclass(frozen=True, slots=True)
class LiveStream:
    """Stream of one camera at the media server, as a reader opens it.

    Attributes:
        since_s: time (monotonic) from which the agent knows the stream to be live without a break; it may have been live
            before. The agent takes it from its own observation, so changes of the wall clock do not affect it. None
            if the stream is not live, or not known to be live.
        url: RTSP address to read, over TCP, without credentials. It is the one that the agent itself uses, for example
            on the loopback address; clients are given another one.
        credentials: credentials for Basic or Digest, as the server asks; None if it needs none. Never put them into a
            command line, an environment or a log.
    """

    since_s: float | None
    url: str
    credentials: "Credentials | None" = None


class CameraStreams(Protocol):
    """Streams of the cameras, for readers in plugins. Safe to call from any task of the agent's event loop.

    A reader that opens the address of a stream that is not live may start it. To start nothing, read only what `look`
    calls live.
    """

    def known(self, camera: CameraId) -> LiveStream | None:
        """Return what the agent last saw of the stream, without I/O.

        A stream that the agent holds is known at any time. Others are seen every few seconds: a stream may have begun
        or ended since. What was seen longer ago is forgotten, and `since_s` is None.

        Returns:
            The stream; None if the media server has no path for the camera, does not answer, or does not exist.
        """
        ...

    async def look(self, camera: CameraId) -> LiveStream:
        """Ask the media server for the stream's state now. Starts nothing.

        Returns:
            The stream; its `since_s` is None if it is not live.

        Raises:
            NotFound: the agent has no such camera.
            CaptureFailed: the stream is not live, and the camera is not connected or does not work.
            MediaServerError: the media server does not answer, has failed too often a moment ago, or is starting.
            Unsupported: there is no media server, or the camera can never be streamed.
        """
        ...

    async def has_other_users(self, camera: CameraId) -> bool:
        """Ask the media server if the stream has users besides this plugin: viewers, or leases of others.

        The plugin's own leases and the readers that it counts by `reading` are not among them. A reader that stays
        connected without a purpose of its own can therefore leave with the last user instead of keeping a camera on.

        Raises:
            NotFound, MediaServerError, Unsupported: as `look`.
        """
        ...

    def lease(self, camera: CameraId, holder: str) -> AbstractAsyncContextManager[LiveStream]:
        """Start the stream, wait until it is live, and keep it live while the context is open.

        A stream that ends meanwhile is started again; `look` tells when. Any number of leases may be open at a time,
        those of one holder included: the stream ends after the last one, and the media server's `close_after_s`.
        A lease ends with its context, and at the latest with the task that entered it. Enter it in a task that lives
        as long as the lease, such as one of a component.

        Args:
            camera: the camera.
            holder: the lease's purpose, for logs. The core makes it unique to the plugin and the lease.

        Raises:
            NotFound: the agent has no such camera.
            CaptureFailed: the camera is not connected or does not work.
            MediaServerError: the media server refused, does not answer, or the stream did not start in time
                (`media_server.start_timeout_s`).
            Unsupported: there is no media server, or the camera can never be streamed.
        """
        ...

    def reading(self, camera: CameraId) -> AbstractContextManager[None]:
        """Count one reader of the plugin as the agent's own, not as a viewer, while the context is open.

        Open it when the reader has connected, and close it before the reader disconnects. Otherwise it hides a viewer
        for that time, and a stream that a client watches may end. Without it clients see one viewer more, and a stream
        that only the agent reads is kept as if a client watched it.
        """
        ...


class AgentContext(Protocol):
    """Agent as seen by a plugin. Valid from the first hook call until the plugin's tasks have ended."""

    @property
    def clock(self) -> Clock: ...

    @property
    def cameras(self) -> CameraDirectory: ...

    @property
    def redirects(self) -> CameraRedirects:
        """Judgement on redirects of cameras. New in 1.2."""
        ...

    @property
    def events(self) -> EventPublisher: ...

    @property
    def streams(self) -> CameraStreams:
        """Live streams of the cameras, to read them. New in 1.1; not usable in a hook, where nothing runs yet."""
        ...

    @property
    def sessions(self) -> ClientSessions:
        """Sessions of clients that come through the plugin, and of the plugin itself. New in 1.4; not usable in a hook."""
        ...

    @property
    def runtime_dir(self) -> Path:
        """Folder for sockets. Its path is short enough for a unix address; the agent empties it at each start."""
        ...

    @property
    def state_dir(self) -> Path:
        """Folder for small files that survive a restart. File names must start with the plugin's name."""
        ...

    @property
    def recordings_dir(self) -> Path:
        """Folder of recordings, with a subfolder per camera. The core lists, serves and deletes the files.

        It may be a link that leads nowhere while the disk for recordings is not there. Never make it.
        """
        ...

    @property
    def ffmpeg(self) -> str | None:
        """Configured FFmpeg program, or None. Pass it to `agent_core.plugin.ffmpeg.locate`."""
        ...

    @property
    def plugins(self) -> Sequence[str]:
        """Names in `plugins.enabled`, in their order; some of them may not be usable. New in 1.4."""
        ...
