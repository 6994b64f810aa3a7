"""Network cameras and UAV streams: found, added, and reported as cameras.

The package imports nothing here: the entry point names `external_discovery.plugin`.
"""
