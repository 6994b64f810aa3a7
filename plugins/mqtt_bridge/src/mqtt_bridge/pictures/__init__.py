"""Pictures of the cameras at the broker."""
