"""Recordings of paths."""
