"""Protocols of the objects that the core lends to plugins. They are small, so that a test can implement them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent_core.base.clock import Clock
from agent_core.base.models import Camera, DetectedCamera

__all__ = ("AgentContext", "CameraDirectory", "CameraReport", "EventPublisher")


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
            camera: description of a camera that was never reported as connected. With it the core lists the camera
                as failed.
        """
        ...


class CameraDirectory(Protocol):
    """Cameras known to the agent."""

    def list(self) -> Sequence[Camera]: ...


class EventPublisher(Protocol):
    """Publisher of one plugin's own events."""

    def publish(self, topic: str, payload: object) -> None:
        """Publish an event to the clients that subscribed to `topic`. Never waits.

        Args:
            topic: one of the plugin's `topics`.
            payload: a frozen dataclass instance, a mapping or a pydantic model. Its fields are the event's params;
                filters by camera compare the field `device`.

        Raises:
            PluginError: the plugin does not declare the topic, or the payload has no fields.
        """
        ...


class AgentContext(Protocol):
    """Agent as seen by a plugin. Valid from the first hook call until the plugin's tasks have ended."""

    @property
    def clock(self) -> Clock: ...

    @property
    def cameras(self) -> CameraDirectory: ...

    @property
    def events(self) -> EventPublisher: ...

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
