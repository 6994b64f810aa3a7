"""Commands of a fleet, each with its run function."""
