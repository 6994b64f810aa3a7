"""Checks of the command `doctor`."""
