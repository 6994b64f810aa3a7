"""Methods that clients call, by noun."""
