"""The types of the wire, by noun."""
