"""Access to a V4L2 device: probe, capabilities, modes, controls and buffers."""
