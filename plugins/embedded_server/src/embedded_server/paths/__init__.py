"""Paths at run time: publishers, readers, sources and commands on demand."""
