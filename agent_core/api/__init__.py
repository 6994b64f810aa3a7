"""The methods that clients call, by noun."""
