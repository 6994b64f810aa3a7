"""Cameras: the registry of ids, the identity of devices, and the monitor of the sources that report them."""

from agent_core.cameras.controls import CameraControls
from agent_core.cameras.monitor import CameraMonitor
from agent_core.cameras.registry import CameraRegistry

__all__ = ("CameraControls", "CameraMonitor", "CameraRegistry")
