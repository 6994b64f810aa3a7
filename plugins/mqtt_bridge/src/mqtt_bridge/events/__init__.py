"""Events of the agent at the broker."""
