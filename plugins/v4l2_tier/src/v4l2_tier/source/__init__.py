"""Source of V4L2 cameras: inventory, hotplug, identity."""
