"""Cameras without hardware: a source with configured, synthetic cameras."""

from virtual_camera.burnt_in import Mark, MarkUnreadable
from virtual_camera.plugin import VirtualCameraPlugin

__all__ = ("Mark", "MarkUnreadable", "VirtualCameraPlugin")
