"""Plugin for V4L2 cameras: discovery by udev, stable identity, capture by memory mapping, one owner per device."""

from v4l2_tier.plugin import V4l2TierPlugin

__all__ = ("V4l2TierPlugin",)
