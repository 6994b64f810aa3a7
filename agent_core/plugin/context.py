"""Protocols of the parts that the core lends to plugins; a test can implement one in three lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent_core.base.clock import Clock
from agent_core.base.models import Camera, DetectedCamera

__all__ = ("AgentContext", "CameraDirectory", "CameraReport", "EventPublisher")


class CameraReport(Protocol):
    """Where a source reports. Calls never wait and may come in any order; repeating one is harmless."""

    def connected(self, camera: DetectedCamera) -> None:
        """`camera` is there, or has changed; `camera.key` says which one it is."""
        ...

    def disconnected(self, key: str, reason: str) -> None:
        """The camera is gone; `reason` is a sentence for the operator, without device paths."""
        ...

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        """The camera is there and does not work; `connected` ends this state.

        `camera` is what is known of one that has not been connected yet: with it the camera is listed, as failed.
        """
        ...


class CameraDirectory(Protocol):
    """The cameras known to the agent."""

    def list(self) -> Sequence[Camera]: ...


class EventPublisher(Protocol):
    """Where a plugin publishes its own events."""

    def publish(self, topic: str, payload: object) -> None:
        """Publish to the clients that subscribed; never waits.

        Args:
            topic: one of the plugin's `topics`.
            payload: an instance of a frozen dataclass, a mapping or a pydantic model.

        Raises:
            PluginError: the plugin does not declare the topic, or the payload has no fields.
        """
        ...


class AgentContext(Protocol):
    """The agent as a plugin sees it. Valid from the first hook call until the plugin's tasks have ended."""

    @property
    def clock(self) -> Clock: ...

    @property
    def cameras(self) -> CameraDirectory: ...

    @property
    def events(self) -> EventPublisher: ...

    @property
    def runtime_dir(self) -> Path:
        """For sockets; short enough for a unix address, emptied when the agent starts."""
        ...

    @property
    def state_dir(self) -> Path:
        """For small files that survive a restart; the plugin uses names that start with its own."""
        ...

    @property
    def recordings_dir(self) -> Path:
        """Where recordings lie, each below the name of its camera; the core lists, offers and deletes them."""
        ...

    @property
    def ffmpeg(self) -> str | None:
        """The configured FFmpeg program, or None: `agent_core.plugin.ffmpeg.locate` takes either."""
        ...
