"""V4L2 cameras: found by udev, recognised again, captured by memory mapping; one owner per device."""

from v4l2_tier.plugin import V4l2TierPlugin

__all__ = ("V4l2TierPlugin",)
