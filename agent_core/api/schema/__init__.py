"""Types of the wire, by noun."""
