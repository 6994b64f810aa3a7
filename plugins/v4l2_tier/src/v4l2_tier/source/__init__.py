"""Where the cameras come from: inventory, hotplug, identity."""
