"""Connection to the broker."""
