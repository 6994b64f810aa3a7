"""Cameras without hardware: a source with configured, synthetic cameras.

`virtual_camera.burnt_in` reads the marks in their pictures; it is not imported here, because it needs Pillow and the
agent does not need it.
"""

from virtual_camera.plugin import VirtualCameraPlugin

__all__ = ("VirtualCameraPlugin",)
