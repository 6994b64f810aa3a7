"""Source of the cameras that libcamera drives, such as those of a Raspberry Pi."""

from libcamera_source.plugin import LibcameraSourcePlugin

__all__ = ("LibcameraSourcePlugin",)
