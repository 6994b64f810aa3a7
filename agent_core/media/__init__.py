"""Readers of media files, and repairs of what a crash left."""
