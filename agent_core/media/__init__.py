"""Readers of media files, and repair of files that a crash or a full disk truncated."""
