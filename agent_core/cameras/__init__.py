"""Cameras: the registry that maps ids to devices, their identity, and the sources that report them."""
