"""Source of configured, synthetic cameras that need no hardware.

`virtual_camera.burnt_in` reads the marks in their pictures. It is not imported here because it needs Pillow, which the
agent does not.
"""

from virtual_camera.plugin import VirtualCameraPlugin

__all__ = ("VirtualCameraPlugin",)
